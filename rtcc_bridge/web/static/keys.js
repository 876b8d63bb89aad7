// Single keys, and the list of them. They can be switched off, since a voice or a shaking hand presses them unasked.

const SWITCH = "rtcc-single-keys";
const WRITING = "input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable]";

const dialog = document.getElementById("keys");
const button = document.getElementById("keys-button");
const isOn = document.getElementById("keys-on");
const actions = new Map();

/** Lets keys do something: an object of functions by key. They act while nobody writes and no dialog is open. */
export function onKeys(some) {
  for (const [key, act] of Object.entries(some)) actions.set(key, act);
}

/** `j` and `k` go through what can be opened on this page; Enter, which is the browser's, opens it. */
export function stepByKeys() {
  onKeys({ j: () => step(1), k: () => step(-1) });
}

function step(by) {
  const all = [...document.querySelectorAll("[data-step]")];
  if (!all.length) return;
  const current = document.querySelector("[data-step][aria-current]");
  const at = all.indexOf(document.activeElement.closest("[data-step]") ?? current);
  all[at < 0 ? 0 : (at + by + all.length) % all.length].focus();
}

function remembered() {
  try {
    return localStorage.getItem(SWITCH) !== "off";
  } catch {
    return true; // a browser that keeps nothing
  }
}

button.hidden = false;
isOn.checked = remembered();
button.addEventListener("click", () => dialog.showModal());
isOn.addEventListener("change", () => {
  try {
    localStorage.setItem(SWITCH, isOn.checked ? "on" : "off");
  } catch {
    // It holds for this page at least.
  }
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches(WRITING) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    dialog.showModal();
    return;
  }
  const act = isOn.checked ? actions.get(event.key.toLowerCase()) : undefined;
  if (!act) return;
  event.preventDefault();
  act();
});
