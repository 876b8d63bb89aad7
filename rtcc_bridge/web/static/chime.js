// A quiet sound for an imminent threat that has just come. Nothing sounds until a person has allowed it; that is kept for
// this browser. The two tones are made here.

import { TEXTS } from "/static/texts.js";

const KEPT = "rtcc-chime";
const TONES = [
  { hertz: 660, at: 0 },
  { hertz: 880, at: 0.22 },
];
const TONE_SECONDS = 0.5;
const LOUDNESS = 0.12;
const LEAST_BETWEEN = 3000;

/** Wires the button that allows the sound. Returns {chime, toggle}. */
export function wireChime(button) {
  let context = null;
  let isOn = remembered();
  let last = -Infinity;

  /** A browser lets a page sound only after a key or a click on it: until then the button says so. */
  function open() {
    if (!isOn) return;
    if (context === null) {
      context = new AudioContext();
      context.onstatechange = show;
    }
    if (context.state === "suspended") context.resume();
  }

  function show() {
    const waits = isOn && context?.state !== "running";
    button.setAttribute("aria-pressed", String(isOn));
    button.textContent = !isOn ? TEXTS.soundOff : waits ? TEXTS.soundWaits : TEXTS.soundOn;
  }

  function chime() {
    if (!isOn || context?.state !== "running" || performance.now() - last < LEAST_BETWEEN) return;
    last = performance.now();
    for (const { hertz, at } of TONES) sound(context, hertz, context.currentTime + at);
  }

  function toggle() {
    isOn = !isOn;
    remember(isOn);
    last = -Infinity;
    open();
    show();
    if (isOn) context.resume().then(chime); // so that it is known how it sounds
  }

  if (!("AudioContext" in window)) {
    button.hidden = true;
    return { chime() {}, toggle() {} };
  }
  button.addEventListener("click", toggle);
  for (const touch of ["pointerdown", "keydown"]) document.addEventListener(touch, open);
  open();
  show();
  return { chime, toggle };
}

function sound(context, hertz, at) {
  const tone = new OscillatorNode(context, { frequency: hertz });
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.001, at + TONE_SECONDS);
  tone.connect(volume).connect(context.destination);
  tone.start(at);
  tone.stop(at + TONE_SECONDS);
}

function remembered() {
  try {
    return localStorage.getItem(KEPT) === "on";
  } catch {
    return false; // a browser that keeps nothing
  }
}

function remember(isOn) {
  try {
    localStorage.setItem(KEPT, isOn ? "on" : "off");
  } catch {
    // It holds for this page at least.
  }
}
