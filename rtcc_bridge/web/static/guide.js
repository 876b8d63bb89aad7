// The demo's guide through a first lead: how far somebody is with it, or that they have closed it, is kept for this browser.

import { onKeys } from "/static/keys.js";

const KEPT = "rtcc-first-steps";
const CLOSED = "closed";

const guide = document.getElementById("first-steps");
const steps = [...guide.querySelectorAll(".first-step")];
const opener = document.getElementById("first-steps-open");
const back = document.getElementById("first-steps-back");
const next = document.getElementById("first-steps-next");
let step = 0;

function show() {
  guide.hidden = false;
  opener.setAttribute("aria-expanded", "true");
  steps.forEach((one, number) => (one.hidden = number !== step));
  back.disabled = step === 0;
  next.hidden = step === steps.length - 1;
  keep(String(step));
}

function close() {
  const hadFocus = guide.contains(document.activeElement);
  guide.hidden = true;
  opener.setAttribute("aria-expanded", "false");
  keep(CLOSED);
  if (hadFocus) opener.focus({ preventScroll: true });
}

function toggle() {
  if (!guide.hidden) {
    close();
    return;
  }
  show();
  document.getElementById("first-steps-title").focus({ preventScroll: true });
}

function go(by) {
  step = Math.min(Math.max(step + by, 0), steps.length - 1);
  show();
  const button = by > 0 ? next : back;
  if (button.disabled || button.hidden) document.getElementById("first-steps-title").focus({ preventScroll: true });
}

function keep(value) {
  try {
    localStorage.setItem(KEPT, value);
  } catch {
    // It holds for this page at least.
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return CLOSED; // a browser that keeps nothing would show it on every page
  }
}

opener.hidden = false;
opener.addEventListener("click", toggle);
back.addEventListener("click", () => go(-1));
next.addEventListener("click", () => go(1));
document.getElementById("first-steps-close").addEventListener("click", close);
guide.addEventListener("keydown", (event) => {
  if (event.key === "Escape") close();
});
onKeys({ h: toggle });

// It opens by itself on the board alone, and goes along to other pages while it is open.
const before = kept();
if (before === null ? location.pathname === "/" : before !== CLOSED) {
  step = Math.min(Number(before) || 0, steps.length - 1);
  show();
}
