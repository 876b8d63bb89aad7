// A clip: its frames one by one, by slider, buttons and keys, and the one that becomes the still. The frames come as
// sheets of some, made by the daemon; where somebody stays the whole frame is loaded. No face is looked for here.

import { post, showProblem } from "/static/calls.js";
import { onKeys } from "/static/keys.js";
import { follow, say } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const MOST_SHEETS = 24;
const REST = 350; // before the whole frame is loaded, or a sheet that is only passed by
const AROUND = 15; // frames to each side in which the sharpest is looked for

const address = document.getElementById("clip").dataset.clip;
const canvas = document.getElementById("shown");
const slider = document.getElementById("place");
const curve = document.getElementById("curve");
const cursor = document.getElementById("cursor");
const form = document.getElementById("use");
const region = document.getElementById("answer");
const sheets = new Map(); // by number, the newest last: a promise of an image
let frames = [];
let perSheet = 1;
let waiting = 0;

follow({ onEvent() {}, onReset() {} }); // nothing here changes by an event; whether the daemon is there is shown
open();

async function open() {
  try {
    const answer = await fetch(address);
    const found = await answer.json();
    if (!answer.ok) {
      showProblem(region, found);
      return;
    }
    frames = found.frames;
    perSheet = found.framesOnASheet;
  } catch {
    showProblem(region, TEXTS.clipNotRead);
    return;
  }
  document.body.removeAttribute("data-starting");
  slider.focus();
  show();
}

slider.addEventListener("input", show);
curve.addEventListener("click", (event) => {
  const { left, width } = curve.getBoundingClientRect();
  goTo(Math.round(((event.clientX - left) / width) * (frames.length - 1)));
});
for (const button of document.querySelectorAll("[data-by]")) {
  button.addEventListener("click", () => goTo(place() + Number(button.dataset.by)));
}
document.getElementById("sharpest").addEventListener("click", toSharpest);
onKeys({
  ",": () => goTo(place() - 1),
  ".": () => goTo(place() + 1),
  arrowleft: () => goTo(place() - 1),
  arrowright: () => goTo(place() + 1),
  j: () => goTo(place() - 10),
  l: () => goTo(place() + 10),
  s: toSharpest,
  u: () => document.getElementById("use-button").focus(),
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = document.getElementById("use-button");
  if (button.disabled || !frames.length) return;
  button.disabled = true;
  showProblem(region, null);
  words(TEXTS.cuttingOut);
  const { ok, document: answer } = await post(`${address}/still`, { frame: frames[place()].number });
  if (ok) {
    location.assign(`/probes/${encodeURIComponent(answer.probeId)}`);
    return;
  }
  button.disabled = false;
  words("");
  showProblem(region, answer);
});

function place() {
  return Number(slider.value);
}

function goTo(wanted) {
  slider.value = Math.min(frames.length - 1, Math.max(0, wanted));
  show();
}

function toSharpest() {
  const start = Math.max(0, place() - AROUND);
  const near = frames.slice(start, place() + AROUND + 1);
  const best = near.reduce((best, one, at) => (one.sharpness > near[best].sharpness ? at : best), 0);
  goTo(start + best);
  say("say-politely", TEXTS.sharpest(frames[place()].number));
}

/** Says which frame it is at once, and draws it as soon as it is there, unless somebody has gone on by then. */
function show() {
  const at = place();
  const frame = frames[at];
  const text = TEXTS.frame(frame.number, clock(frame.milliseconds));
  document.getElementById("where").textContent = text;
  slider.setAttribute("aria-valuetext", text);
  canvas.setAttribute("aria-label", text);
  const x = frames.length < 2 ? 0 : (at / (frames.length - 1)) * curve.viewBox.baseVal.width;
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  clearTimeout(waiting);
  const number = Math.floor(at / perSheet) + 1;
  if (sheets.has(number)) drawFromSheet(at, number);
  waiting = setTimeout(() => rest(at, number), sheets.size ? REST : 0);
}

async function rest(at, number) {
  await drawFromSheet(at, number);
  if (place() !== at) return;
  try {
    const whole = await picture(`${address}/frames/${frames[at].number}`);
    if (place() === at) draw(whole, 0, whole.naturalHeight);
  } catch {
    return; // the sheet's small copy stays, and says nothing wrong
  }
  for (const near of [number + 1, number - 1]) if (near >= 1 && near <= sheetOf(frames.length - 1)) sheet(near).catch(() => {});
}

async function drawFromSheet(at, number) {
  try {
    const image = await sheet(number);
    if (place() !== at) return;
    const height = image.naturalHeight / Math.min(perSheet, frames.length - (number - 1) * perSheet);
    draw(image, (at % perSheet) * height, height);
    showProblem(region, null);
  } catch {
    if (place() === at) showProblem(region, TEXTS.frameNotThere);
  }
}

function sheetOf(at) {
  return Math.floor(at / perSheet) + 1;
}

/** A sheet, kept for a while; one that did not come is asked for again. */
function sheet(number) {
  const known = sheets.get(number);
  sheets.delete(number);
  const promised = known ?? picture(`${address}/sheets/${number}`);
  sheets.set(number, promised);
  if (!known) promised.catch(() => sheets.delete(number));
  if (sheets.size > MOST_SHEETS) sheets.delete(sheets.keys().next().value);
  return promised;
}

async function picture(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

function draw(image, top, height) {
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, top, image.naturalWidth, height, 0, 0, canvas.width, canvas.height);
  canvas.dataset.frame = frames[place()].number;
}

function clock(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  return `${minutes}:${((milliseconds % 60_000) / 1000).toFixed(2).padStart(5, "0")}`;
}

function words(text) {
  document.getElementById("progress-words").textContent = text;
}
