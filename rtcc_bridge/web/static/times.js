// Ages and countdowns, by the daemon's clock: a wall's own clock may be wrong.

import { TEXTS } from "/static/texts.js";

const page = document.body.dataset;
const offset = Date.parse(page.now) - Date.now();

export function now() {
  return Date.now() + offset;
}

function twoDigits(value) {
  return String(value).padStart(2, "0");
}

function clockTime(milliseconds) {
  const moment = new Date(milliseconds);
  return `${twoDigits(moment.getHours())}:${twoDigits(moment.getMinutes())}`;
}

/** As the clock of the page has it, in both times. */
export function inBothTimes(milliseconds) {
  const moment = new Date(milliseconds);
  return `${clockTime(milliseconds)}  (${twoDigits(moment.getUTCHours())}:${twoDigits(moment.getUTCMinutes())} UTC)`;
}

/** As the clock on this wall had it; with the day where that is another one than in UTC. */
function localTime(text) {
  const moment = new Date(text);
  const time = `${clockTime(moment)}:${twoDigits(moment.getSeconds())}`;
  if (moment.getDate() === moment.getUTCDate()) return time;
  return `${twoDigits(moment.getMonth() + 1)}-${twoDigits(moment.getDate())} ${time}`;
}

function duration(seconds) {
  return TEXTS.duration(Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60));
}

function ageWords(milliseconds) {
  const seconds = Math.max(0, (now() - milliseconds) / 1000);
  return seconds < 60 ? TEXTS.justNow : TEXTS.ago(duration(seconds));
}

function countdownWords(left) {
  const seconds = Math.ceil(left / 1000);
  if (seconds >= 3600) return duration(seconds);
  return `${Math.floor(seconds / 60)}:${twoDigits(seconds % 60)}`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let onOver = () => {};

/** Called when a countdown on the page reaches its end. */
export function whenOver(callback) {
  onOver = callback;
}

/** Writes every age and countdown below `root`. */
export function tick(root = document) {
  const clock = document.getElementById("clock");
  write(clock, inBothTimes(now()));
  for (const element of root.querySelectorAll("time[data-age]")) {
    const at = Date.parse(element.dateTime);
    const label = element.dataset.label ? `${element.dataset.label} ` : "";
    write(element, label + ageWords(at));
    if (!element.title) element.title = `${new Date(at).toLocaleString()} (${element.dateTime})`;
  }
  for (const element of root.querySelectorAll("time[data-moment] + .here:empty")) {
    element.textContent = TEXTS.here(localTime(element.previousElementSibling.dateTime));
  }
  for (const element of root.querySelectorAll("time[data-until]")) {
    const left = Date.parse(element.dateTime) - now();
    const over = left <= 0;
    const { before, after } = element.dataset;
    write(element, over ? after : `${before} ${countdownWords(left)}`);
    if (over && !element.classList.contains("over")) {
      element.classList.add("over");
      onOver();
    }
  }
}

setInterval(tick, 1000);
