// Pictures of a comparison, each asked for once: every look is audited.

import { TEXTS } from "/static/texts.js";

const known = new Map();

/** An address of this page for the picture behind `address`. Throws a problem document. */
export function picture(address) {
  if (!known.has(address)) {
    const asked = load(address);
    known.set(address, asked);
    asked.catch(() => known.delete(address)); // another try asks again
  }
  return known.get(address);
}

async function load(address) {
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store" });
  } catch {
    throw { title: TEXTS.pictureFailed, detail: "" };
  }
  if (!answer.ok) throw await answer.json();
  return URL.createObjectURL(await answer.blob());
}
