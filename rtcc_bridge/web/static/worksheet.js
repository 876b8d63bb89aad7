// What an examiner has noted of a list, and what is missing before it can be filed. No page, no daemon: plain data.

import { TEXTS } from "/static/texts.js";

const SUPPORT = ["strong_support", "support", "limited_support"];

/** candidates: [{ref, name, takenOn}] in the examiner's order. components: the names of the parts, in their order. */
export class Worksheet {
  constructor(candidates, components, opinion) {
    this.candidates = candidates;
    this.components = components;
    this.read(opinion);
  }

  read(opinion) {
    this.notes = new Map(this.candidates.map(({ ref }) => [ref, blank("open")]));
    for (const ref of opinion.excluded ?? []) this.notes.get(ref).standing = "excluded";
    for (const one of opinion.compared ?? []) {
      const notes = this.notes.get(one.candidateRef);
      notes.standing = "kept";
      notes.conclusion = one.conclusion ?? null;
      notes.note = one.note ?? "";
      for (const { component, finding, note } of one.findings ?? []) {
        notes.findings.set(component, finding);
        if (note) notes.remarks.set(component, note);
      }
    }
  }

  of(ref) {
    return this.notes.get(ref);
  }

  /** How many parts of the face were not looked at. */
  left(ref) {
    return this.components.length - this.of(ref).findings.size;
  }

  standing(ref) {
    const { standing } = this.of(ref);
    if (standing === "kept") return this.isWhole(ref) ? TEXTS.kept(0) : TEXTS.kept(this.left(ref));
    return standing === "excluded" ? TEXTS.excluded : TEXTS.open;
  }

  isWhole(ref) {
    const { standing, conclusion } = this.of(ref);
    return standing === "excluded" || (standing === "kept" && this.left(ref) === 0 && conclusion !== null);
  }

  /** As the daemon takes it. */
  opinion() {
    const refs = this.candidates.map(({ ref }) => ref);
    const excluded = refs.filter((ref) => this.of(ref).standing === "excluded");
    const compared = refs.filter((ref) => this.of(ref).standing === "kept").map((ref) => this.form(ref));
    return { excluded, compared };
  }

  form(candidateRef) {
    const { findings, remarks, conclusion, note } = this.of(candidateRef);
    const parts = this.components.filter((component) => findings.has(component));
    return {
      candidateRef,
      findings: parts.map((component) => ({
        component,
        finding: findings.get(component),
        note: remarks.get(component) ?? "",
      })),
      conclusion,
      note,
    };
  }

  /** Sentences that say what is missing; none when it can be filed. The daemon asks the same (P13). */
  missing() {
    const open = this.candidates.filter(({ ref }) => this.of(ref).standing === "open").map(({ name }) => name);
    const sentences = open.length ? [TEXTS.missingOpen(open.join(", "))] : [];
    for (const { ref, name } of this.candidates) sentences.push(...this.missingOf(ref, name));
    return sentences;
  }

  missingOf(ref, name) {
    const { standing, findings, conclusion } = this.of(ref);
    if (standing !== "kept") return [];
    const found = [...findings.values()];
    const sentences = [];
    if (this.left(ref)) sentences.push(TEXTS.missingParts(name, this.left(ref)));
    if (conclusion === null) sentences.push(TEXTS.missingConclusion(name));
    if (SUPPORT.includes(conclusion) && !found.includes("similar")) sentences.push(TEXTS.missingSimilar(name));
    if (conclusion === "exclusion" && !found.includes("different")) sentences.push(TEXTS.missingDifferent(name));
    return sentences;
  }
}

function blank(standing) {
  return { standing, findings: new Map(), remarks: new Map(), conclusion: null, note: "" };
}
