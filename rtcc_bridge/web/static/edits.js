// Edits of a still before a face is chosen: tried by key and button, shown as the daemon would make them, and recorded
// together when they are applied. Each time they begin at the original (P05), which is one key away.

import { post, showProblem } from "/static/calls.js";
import { onKeys } from "/static/keys.js";
import { say } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const PAUSE = 250; // several presses of a key are one look
const MOST = 16;
const LEAST_PX = 16;

let steps = []; // what is tried; the recorded ones while nothing is
let waiting = 0;
let context = null;
let untried = null; // what is said of the steps while none is tried

export function wireEdits({ refresh, answers }) {
  context = { refresh, answers };
  newPicture();
  onKeys(
    Object.fromEntries(
      ["[", "]", ";", "'", "b", "v", "n", "m", "z", "o", "a"].map((key) => [key, () => act(key)]).concat([["c", toCrop]]),
    ),
  );
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-edit]");
    if (button && !button.disabled) act(button.dataset.edit);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "crop") return;
    event.preventDefault();
    crop();
  });
  wireDragging();
}

/** The page shows another state of the still: what was tried is recorded now, or gone. */
export function newPicture() {
  clearTimeout(waiting);
  steps = recorded();
  const form = document.getElementById("crop");
  const picture = document.getElementById("still");
  if (form && picture) {
    const [width, height] = [picture.getAttribute("width"), picture.getAttribute("height")];
    Object.entries({ left: 0, top: 0, right: width, bottom: height }).forEach(([name, value]) => (form.elements[name].value = value));
  }
  if (editing()) tellSteps();
}

function editing() {
  return document.querySelector("#editing [data-action]");
}

function recorded() {
  return JSON.parse(document.getElementById("picture").dataset.edits);
}

function isTried() {
  return JSON.stringify(steps) !== JSON.stringify(recorded());
}

function act(key) {
  if (!editing()) return;
  if (key === "o") return toggleOriginal();
  if (key === "a") return apply();
  if (key === "z") steps = steps.slice(0, -1);
  else if (key === "[" || key === "]") change("rotate", "degrees", key === "]" ? 90 : -90, 0, turned);
  else if (key === ";" || key === "'") change("rotate", "degrees", key === "'" ? 1 : -1, 0, turned);
  else if (key === "b" || key === "v") change("brightness", "percent", key === "b" ? 10 : -10, 0, within(-100, 100));
  else change("contrast", "percent", key === "n" ? 10 : -10, 100, within(10, 400));
  tried();
}

/** Changes the last step where it is of this kind, so that ten presses of a key are one step; a step that does nothing goes. */
function change(kind, field, by, nothing, bounded) {
  const last = steps.at(-1);
  const before = last?.do === kind ? last[field] : nothing;
  const value = bounded(before + by);
  steps = last?.do === kind ? steps.slice(0, -1) : [...steps];
  if (value !== nothing) steps.push({ do: kind, [field]: value });
}

function turned(degrees) {
  return degrees > 180 ? degrees - 360 : degrees <= -180 ? degrees + 360 : degrees;
}

function within(low, high) {
  return (value) => Math.min(high, Math.max(low, value));
}

function crop() {
  if (isTried()) {
    showProblem(context.answers(), TEXTS.cropAlone);
    return;
  }
  const form = document.getElementById("crop");
  const [left, top, right, bottom] = ["left", "top", "right", "bottom"].map((name) => Math.round(Number(form.elements[name].value)));
  if (right - left < LEAST_PX || bottom - top < LEAST_PX) {
    showProblem(context.answers(), TEXTS.cropTooSmall(LEAST_PX));
    return;
  }
  steps = [...steps, { do: "crop", left, top, right, bottom }];
  tried();
}

function toCrop() {
  document.getElementById("crop")?.elements.left.focus();
}

function tried() {
  showProblem(context.answers(), null);
  if (steps.length > MOST) steps = steps.slice(0, MOST);
  if (!isTried()) steps = recorded();
  press(false);
  tellSteps();
  clearTimeout(waiting);
  waiting = setTimeout(() => show(isTried() ? steps : null), PAUSE);
}

/** What is tried is not what would be searched: until it is applied or taken back, nothing can be. */
export function holdSearch() {
  const search = document.getElementById("choose-button");
  if (!search) return;
  search.disabled = Boolean(editing()) && isTried();
  document.getElementById("held").hidden = !search.disabled;
}

function tellSteps() {
  const button = document.getElementById("apply");
  button.disabled = !isTried();
  holdSearch();
  if (isTried() && !document.activeElement.closest("#crop")) button.focus({ preventScroll: true });
  const told = document.getElementById("steps");
  untried ??= told.textContent;
  told.textContent = isTried() ? TEXTS.tried(steps) : untried;
}

/** Shows the still after these steps; without a list, as it is recorded, with the faces that were found in it. */
function show(wanted) {
  const picture = document.getElementById("still");
  if (!picture) return;
  const query = wanted ? `edits=${encodeURIComponent(JSON.stringify(wanted))}` : "face=0";
  picture.classList.toggle("tried", wanted !== null);
  picture.src = `${picture.dataset.source}?${query}`;
}

function toggleOriginal() {
  const isOn = document.getElementById("original").getAttribute("aria-pressed") === "true";
  press(!isOn);
  show(isOn ? (isTried() ? steps : null) : []);
  say("say-politely", isOn ? TEXTS.afterSteps : TEXTS.asItCame);
}

function press(isOn) {
  document.getElementById("original").setAttribute("aria-pressed", String(isOn));
}

async function apply() {
  const button = document.getElementById("apply");
  if (button.disabled) return;
  button.disabled = true;
  document.getElementById("steps").textContent = TEXTS.lookingInEdited;
  const { ok, document: answer } = await post(editing().dataset.action, { steps });
  showProblem(context.answers(), ok ? null : answer);
  if (!ok) return tellSteps();
  say("say-politely", TEXTS.recorded(answer.faces.length));
  context.refresh();
}

/** A rectangle drawn over the still fills the fields of the crop. */
function wireDragging() {
  let from = null;
  document.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest(".still");
    if (!frame || !editing() || event.target.closest("[data-face]") || isTried()) return;
    from = at(event, frame);
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (from) mark(from, at(event, document.querySelector(".still")));
  });
  document.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [one, other] = [from, at(event, document.querySelector(".still"))];
    from = null;
    mark(one, other);
  });
}

function at(event, frame) {
  const { left, top, width, height } = frame.getBoundingClientRect();
  const picture = document.getElementById("still");
  const share = (value, size) => Math.min(1, Math.max(0, value / size));
  return {
    x: Math.round(share(event.clientX - left, width) * Number(picture.getAttribute("width"))),
    y: Math.round(share(event.clientY - top, height) * Number(picture.getAttribute("height"))),
  };
}

function mark(one, other) {
  const box = { left: Math.min(one.x, other.x), top: Math.min(one.y, other.y), right: Math.max(one.x, other.x), bottom: Math.max(one.y, other.y) };
  if (box.right - box.left < LEAST_PX || box.bottom - box.top < LEAST_PX) return;
  const form = document.getElementById("crop");
  Object.entries(box).forEach(([name, value]) => (form.elements[name].value = value));
  const drawn = document.getElementById("drawn");
  if (!drawn) return;
  Object.entries({ x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }).forEach(([name, value]) => drawn.setAttribute(name, value));
}
