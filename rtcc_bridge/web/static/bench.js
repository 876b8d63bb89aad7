// The examiner's bench: two pictures, triage with one key, the structured comparison, the conclusion. For the first
// examiner and for a blind reviewer it is the same.

import { Aids } from "/static/aids.js";
import { post, showProblem, wireButtons } from "/static/calls.js";
import { Draft, forgetDraft } from "/static/drafts.js";
import { onKeys } from "/static/keys.js";
import { follow, say, showOutage } from "/static/live.js";
import { picture } from "/static/pictures.js";
import { TEXTS } from "/static/texts.js";
import { openViews } from "/static/views.js";
import { Worksheet } from "/static/worksheet.js";

const FINDINGS = ["similar", "different", "not_visible"];
const ENDED = ["withdrawn", "expired"];

const bench = document.getElementById("bench");
const setup = bench.dataset;
const draftKey = `${setup.account} ${setup.bench} ${setup.subject}`;
const byId = (id) => document.getElementById(id);

wireButtons(() => {});
if ("ended" in setup) {
  forgetDraft(draftKey);
  follow({ onEvent: () => {}, onReset: () => {} });
} else {
  begin();
}

async function begin() {
  const candidates = JSON.parse(setup.candidates);
  const parts = [...document.querySelectorAll("#parts .part")];
  const nameOf = new Map(parts.map((part) => [part.dataset.component, part.querySelector("legend").textContent]));
  const sheet = new Worksheet(candidates, [...nameOf.keys()], JSON.parse(setup.opinion));
  const draft = new Draft({ key: draftKey, address: setup.keep, onState: showSaved, onRefused: refused });
  const aids = new Aids({
    address: setup.aids,
    used: JSON.parse(setup.used),
    beforeUse: () => draft.save(),
    onChange: renderAids,
    onRefused: (problem) => showProblem(byId("answer"), problem),
  });
  const photo = new Map();
  let views = null;
  let at = 0;
  let part = null; // the part that a key is about; null: the candidate as a whole
  let judged = null; // the part that was judged last
  let isOver = false;

  restore();
  wire();
  go(firstOpen());
  follow({ onEvent: ({ type }) => (type.startsWith("lead.") || type === "floor.lead") && watch(), onReset: watch });
  views = await openViews(byId("still"), byId("candidate"));
  if (!views.canZoom) showOutage("zoom", TEXTS.noZoom);
  aids.overlay = views.overlay;
  renderAids();
  showStill();
  showCandidate();

  function restore() {
    const left = draft.left();
    if (!left) return;
    try {
      sheet.read(left);
      changed();
      say("say-politely", TEXTS.restored);
    } catch {
      draft.forget(); // of another list
    }
  }

  function current() {
    return candidates[at];
  }

  function notes() {
    return sheet.of(current().ref);
  }

  function firstOpen() {
    const open = candidates.findIndex(({ ref }) => !sheet.isWhole(ref));
    return open < 0 ? 0 : open;
  }

  function go(place) {
    at = (place + candidates.length) % candidates.length;
    part = judged = null;
    byId("photos").removeAttribute("open");
    aids.stop();
    render();
    showCandidate();
    say("say-politely", TEXTS.movedTo(current().name, sheet.standing(current().ref)));
  }

  /** The next one that is not decided, or simply the next one. */
  function goOn() {
    for (let step = 1; step <= candidates.length; step += 1) {
      const place = (at + step) % candidates.length;
      if (!sheet.isWhole(candidates[place].ref)) return go(place);
    }
    return render();
  }

  function changed() {
    draft.change(sheet.opinion());
    render();
  }

  // Pictures

  async function showStill() {
    try {
      const address = await picture(`${setup.pictures}/still`);
      views.still.show(address, setup.face ? JSON.parse(setup.face) : null);
    } catch (problem) {
      views.still.say(problem.detail ?? TEXTS.pictureFailed);
    }
  }

  async function showCandidate() {
    if (!views) return;
    const { ref, takenOn } = current();
    if (!takenOn.length) {
      views.candidate.say(TEXTS.noPhoto);
      return;
    }
    const number = photo.get(ref) ?? 1;
    try {
      const address = await picture(`${setup.pictures}/candidates/${ref}/pictures/${number}`);
      if (current().ref === ref && (photo.get(ref) ?? 1) === number) views.candidate.show(address);
    } catch (problem) {
      if (current().ref !== ref) return;
      aids.stop();
      views.candidate.say(problem.detail ?? TEXTS.pictureFailed);
    }
  }

  function otherPhoto() {
    const { ref, takenOn } = current();
    if (takenOn.length > 1) openPhoto(((photo.get(ref) ?? 1) % takenOn.length) + 1);
  }

  function openPhoto(number) {
    photo.set(current().ref, number);
    render();
    showCandidate();
    say("say-politely", TEXTS.photoInList(number, inWords(current().takenOn[number - 1])));
  }

  /** The candidate's photos, each with the day on which it was taken. */
  function renderPhotos() {
    const { ref, takenOn } = current();
    const number = photo.get(ref) ?? 1;
    const days = takenOn.map(inWords);
    byId("photo-count").textContent = days.length ? TEXTS.photo(number, days.length, days[number - 1]) : "";
    byId("photos").hidden = !days.length;
    byId("other-photo").hidden = days.length < 2;
    const lines = days.map((day, place) => {
      const line = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "tool";
      button.dataset.photo = place + 1;
      button.textContent = TEXTS.photoInList(place + 1, day);
      if (place + 1 === number) button.setAttribute("aria-current", "true");
      line.append(button);
      return line;
    });
    byId("photo-list").replaceChildren(...lines);
  }

  /** Overlay and blink: beside the form alone. */
  function renderAids() {
    const { name } = current();
    const isCompared = notes().standing === "kept" && !isOver;
    if (!isCompared) aids.stop();
    for (const button of document.querySelectorAll("[data-aid]")) {
      button.disabled = !isCompared || !aids.overlay;
      press(button, aids.shown === button.dataset.aid);
    }
    const line = byId("still-words");
    const words = aids.words(name) || line.dataset.words;
    if (line.textContent !== words) line.textContent = words; // it is read out
  }

  function useAid(aid) {
    const { ref } = current();
    const isCompared = () => current().ref === ref && notes().standing === "kept" && !isOver;
    if (isCompared()) aids.toggle(aid, ref, isCompared);
  }

  function inWords(day) {
    if (!day) return TEXTS.dateNotKnown;
    return new Date(day).toLocaleDateString([], { dateStyle: "medium", timeZone: "UTC" });
  }

  // What is shown of the notes

  function render() {
    const { ref, name } = current();
    const { standing, findings, remarks, conclusion } = notes();
    for (const button of document.querySelectorAll("#strip button")) {
      if (button.dataset.ref === ref) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.dataset.standing = sheet.of(button.dataset.ref).standing;
      button.querySelector(".standing").textContent = sheet.standing(button.dataset.ref);
    }
    byId("candidate-name").textContent = byId("form-title").textContent = TEXTS.candidate(name);
    renderPhotos();
    renderAids();
    byId("triage").hidden = standing !== "open";
    byId("excluded").hidden = standing !== "excluded";
    byId("form").hidden = byId("unkeep").hidden = standing !== "kept";
    byId("parts-left").textContent = standing === "kept" ? TEXTS.partsLeft(sheet.left(ref)) : "";
    for (const row of parts) {
      const { component } = row.dataset;
      for (const radio of row.querySelectorAll("input")) radio.checked = findings.get(component) === radio.value;
      row.classList.toggle("remarked", remarks.has(component));
      row.title = remarks.get(component) ?? "";
    }
    for (const radio of byId("scale").querySelectorAll("input")) radio.checked = radio.value === conclusion;
    markCurrent();
    showNote();
  }

  /** The row that keys are about; while a note is written the one that it is about, so that no note goes elsewhere. */
  function markCurrent() {
    const about = document.activeElement === byId("note") ? noted() : part;
    for (const row of parts) {
      row.classList.toggle("current", row.dataset.component === about);
      if (about !== part && row.dataset.component === about) row.scrollIntoView({ block: "nearest" });
    }
  }

  /** What a note is about: a part that was judged, since the next key is about the one after it; null: the candidate. */
  function noted() {
    if (part === null || notes().findings.has(part)) return part;
    return judged;
  }

  function showNote() {
    const about = noted();
    const noteOn = about === part ? TEXTS.noteOn : TEXTS.noteOnLast;
    byId("note-of").textContent = about ? noteOn(nameOf.get(about)) : TEXTS.noteOnAll;
    const field = byId("note");
    const text = (about ? notes().remarks.get(about) : notes().note) ?? "";
    if (field.value !== text) field.value = text;
  }

  function showSaved(text, { signedOut = false }) {
    const line = byId("saved");
    line.textContent = text;
    if (!signedOut) return;
    const way = document.createElement("a");
    way.href = `/sign-in?back=${encodeURIComponent(location.pathname)}`;
    way.textContent = TEXTS.signIn;
    line.append(" ", way);
  }

  function refused(problem) {
    showProblem(byId("answer"), problem);
    watch();
  }

  // What an examiner does

  function exclude() {
    const own = notes();
    const isExcluded = own.standing === "excluded";
    const before = own.findings.size ? "kept" : "open"; // a form that was begun comes back with it
    own.standing = isExcluded ? before : "excluded";
    changed();
    if (!isExcluded) goOn();
    else if (before === "open") byId("exclude").focus();
    else focusPart(nextPart());
  }

  function keep() {
    if (notes().standing === "kept") return focusPart(part ?? nextPart());
    notes().standing = "kept";
    changed();
    focusPart(nextPart());
  }

  /** Whether there is a form that would be lost. */
  function isBegun() {
    const { standing, findings, conclusion, note } = notes();
    return standing === "kept" && (findings.size > 0 || conclusion !== null || note !== "");
  }

  function nextPart(after = null) {
    const all = sheet.components;
    const order = after ? [...all.slice(all.indexOf(after) + 1), ...all.slice(0, all.indexOf(after) + 1)] : all;
    return order.find((component) => !notes().findings.has(component)) ?? null;
  }

  function focusPart(component) {
    if (component === null) return focusConclusion();
    part = component;
    render();
    const row = parts.find((one) => one.dataset.component === component);
    (row.querySelector("input:checked") ?? row.querySelector("input")).focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function focusConclusion() {
    part = null;
    render();
    const scale = byId("scale");
    (scale.querySelector("input:checked") ?? scale).focus(); // the scale as a whole, so that no step of it is nearer
    scale.scrollIntoView({ block: "nearest" });
  }

  function conclude(radio) {
    if (notes().standing !== "kept") return;
    notes().conclusion = radio.value;
    changed();
    focusConclusion();
  }

  function find(finding) {
    if (notes().standing !== "kept" || part === null) return;
    notes().findings.set(part, finding);
    judged = part;
    const next = nextPart(part);
    changed();
    focusPart(next);
  }

  function back() {
    if (notes().standing !== "kept") return;
    const place = part === null ? sheet.components.length : sheet.components.indexOf(part);
    focusPart(sheet.components[Math.max(0, place - 1)]);
  }

  // Filing

  function readThrough() {
    const list = byId("filing-list");
    list.replaceChildren(...candidates.map(asLine));
    const missing = sheet.missing();
    showProblem(byId("filing-missing"), missing.length ? TEXTS.notWhole : null);
    byId("filing-missing").querySelector(".refusal p:last-child")?.before(...missing.map(asSentence));
    byId("file").disabled = missing.length > 0;
    showProblem(byId("filing-answer"), null);
    byId("filing").showModal();
  }

  function asLine({ ref, name }) {
    const { standing, conclusion } = sheet.of(ref);
    const line = document.createElement("li");
    const head = document.createElement("strong");
    head.textContent = TEXTS.candidate(name);
    const words = byId("scale").querySelector(`[value="${CSS.escape(conclusion ?? "")}"] + span .words`)?.textContent;
    line.append(head, " ", standing === "excluded" ? TEXTS.atFirstSight : (words ?? TEXTS.undecided));
    const used = aids.on(ref).map((aid) => document.querySelector(`[data-aid="${aid}"]`).firstChild.textContent.trim());
    if (used.length) line.append(TEXTS.used(used.join(TEXTS.and).toLowerCase()));
    return line;
  }

  function asSentence(text) {
    const line = document.createElement("p");
    line.className = "detail";
    line.textContent = text;
    return line;
  }

  async function file() {
    const button = byId("file");
    if (button.disabled) return;
    button.disabled = true;
    await draft.save();
    const { ok, document: answer } = await post(setup.file, sheet.opinion());
    if (ok) {
      draft.forget();
      location.reload();
      return;
    }
    button.disabled = false;
    showProblem(byId("filing-answer"), answer);
  }

  /** Whether the list is still examined: a lead can be withdrawn, and a review be needed no longer, at any moment. */
  async function watch() {
    if (isOver) return;
    try {
      const answer = await fetch(setup.watch, { cache: "no-store" });
      if (!answer.ok || isOver) return;
      const told = await answer.json();
      isOver =
        setup.bench === "lead"
          ? ENDED.includes(told.data.reviewState)
          : !told.items.some((one) => one.reviewId === setup.subject);
    } catch {
      return;
    }
    if (!isOver) return;
    draft.forget();
    showOutage("ended", TEXTS.ended);
    byId("filing").close();
    byId("read-through").disabled = true;
    for (const field of bench.querySelectorAll(".form-panel button, .form-panel input")) field.disabled = true;
    renderAids();
  }

  function wire() {
    byId("strip").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) go(candidates.findIndex(({ ref }) => ref === button.dataset.ref));
    });
    for (const id of ["exclude", "bring-back", "unkeep"]) byId(id).addEventListener("click", exclude);
    byId("keep").addEventListener("click", keep);
    document.querySelector("[data-next-open]").addEventListener("click", goOn);
    byId("other-photo").addEventListener("click", otherPhoto);
    byId("photo-list").addEventListener("click", (event) => {
      const button = event.target.closest("[data-photo]");
      if (!button) return;
      byId("photos").removeAttribute("open");
      byId("photos").querySelector("summary").focus(); // the list is made anew
      openPhoto(Number(button.dataset.photo));
    });
    byId("read-through").addEventListener("click", readThrough);
    byId("file").addEventListener("click", file);
    byId("form").addEventListener("submit", (event) => event.preventDefault());
    byId("form").addEventListener("focusin", (event) => {
      const row = event.target.closest(".part");
      if (row) part = row.dataset.component;
      else if (event.target.closest("#scale")) part = null;
      else if (event.target.id !== "note") return;
      markCurrent();
      showNote();
    });
    byId("note").addEventListener("blur", markCurrent);
    byId("form").addEventListener("change", (event) => {
      if (event.target.id === "note") return;
      if (event.target.name === "conclusion") {
        notes().conclusion = event.target.value;
      } else {
        judged = event.target.name;
        notes().findings.set(judged, event.target.value);
      }
      changed();
    });
    byId("note").addEventListener("input", (event) => {
      const [text, about] = [event.target.value, noted()];
      if (about === null) notes().note = text;
      else if (text) notes().remarks.set(about, text);
      else notes().remarks.delete(about);
      draft.change(sheet.opinion());
    });
    byId("note").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      focusPart(part); // back to what the note is about
    });
    wireViewTools();
    onKeys({
      j: () => go(at + 1),
      k: () => go(at - 1),
      p: otherPhoto,
      z: link,
      o: () => useAid("overlay"),
      b: () => useAid("blink"),
      f: () => document.querySelector('[data-of="candidate"] [data-tool="flip"]').click(),
      g: () => byId("grey").click(),
      0: reset,
      l: () => byId("limits").toggleAttribute("open"),
    });
    const steps = [...byId("scale").querySelectorAll("[data-key]")];
    onKeysWhileOpen({
      x: () => !isBegun() && exclude(), // one key does not take a form away
      c: keep,
      1: () => find(FINDINGS[0]),
      2: () => find(FINDINGS[1]),
      3: () => find(FINDINGS[2]),
      u: back,
      n: () => notes().standing === "kept" && byId("note").focus(),
      e: () => notes().standing === "kept" && focusConclusion(),
      s: readThrough,
      ...Object.fromEntries(steps.map((radio) => [radio.dataset.key, () => conclude(radio)])),
    });
  }

  /** Of a list that is examined no longer nothing is noted any more. */
  function onKeysWhileOpen(some) {
    onKeys(Object.fromEntries(Object.entries(some).map(([key, act]) => [key, () => isOver || act()])));
  }

  function wireViewTools() {
    for (const tools of document.querySelectorAll(".view-tools")) {
      const view = () => views?.[tools.dataset.of];
      tools.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-tool]");
        if (!button) return;
        const is = press(button);
        view()?.set({ [button.dataset.tool]: is });
      });
      tools.addEventListener("input", (event) => view()?.set({ [event.target.dataset.tool]: event.target.value }));
    }
    for (const button of document.querySelectorAll("[data-aid]")) {
      button.addEventListener("click", () => useAid(button.dataset.aid));
    }
    byId("linked").addEventListener("click", link);
    byId("reset").addEventListener("click", reset);
    byId("grey").addEventListener("click", () => {
      const grey = press(byId("grey"));
      for (const view of [views?.still, views?.candidate]) view?.set({ grey });
    });
  }

  function press(button, is = button.getAttribute("aria-pressed") !== "true") {
    button.setAttribute("aria-pressed", String(is));
    return is;
  }

  function link() {
    if (views) views.linked = press(byId("linked"));
  }

  function reset() {
    aids.stop();
    for (const button of bench.querySelectorAll(".view-tools [aria-pressed], #grey")) press(button, false);
    for (const slider of bench.querySelectorAll(".view-tools input")) slider.value = "100";
    for (const view of [views?.still, views?.candidate]) {
      view?.set({ flip: false, grey: false, brightness: 100, contrast: 100 });
      view?.home();
    }
  }
}
