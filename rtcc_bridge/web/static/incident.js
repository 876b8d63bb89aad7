// An incident: kept live, and the form that attaches a still to it.

import { postForm, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { keepLive, say } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const FIELDS = ["purpose", "legalBasis", "caseNumber", "requestor", "attestedOriginal", "warrantOrExigency"];
const PICTURES = ["image/jpeg", "image/png", "image/webp"];
const CLIPS = /\.(mp4|m4v|mov|mkv|avi)$/i;

const refresh = keepLive({ onPart: followOffer });
const form = document.getElementById("attach");
const region = document.getElementById("answer") ?? document.getElementById("outages");

wireButtons(({ ok, document: answer, button }) => {
  if (ok) say("say-politely", button.dataset.done);
  showProblem(region, ok ? null : answer);
  refresh();
});

/** What is declared or attested is no event of the feed: whoever did it looks at once, the others when the page is new. */
function told({ ok, document: answer, form: written }) {
  if (ok) {
    written.reset(); // what somebody writes in is not swapped
    say("say-politely", written.dataset.done);
    refresh();
  } else {
    showProblem(written.parentElement.querySelector("[role=alert]"), answer);
  }
}

wireReasons(".declare", told);
wireReasons(".attest", told, "attestation");

if (form) wireForm();

/** Whoever fills in the form while the incident ends is told so at once; what was written comes back with the incident. */
function followOffer(part) {
  if (part.id !== "offer") return;
  const isOpen = part.hidden; // it says why nothing can be attached
  if (!isOpen) say("say-at-once", part.textContent);
  if (form) form.hidden = !isOpen;
  else if (isOpen) location.reload(); // which brings the form
}

function wireForm() {
  const chooser = document.getElementById("image");
  const drop = document.getElementById("drop");
  chooser.addEventListener("change", () => show(chooser.files[0]));
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/") || isClip(file));
    if (pasted) give(pasted);
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.remove("over");
    });
  }
  document.addEventListener("drop", (event) => {
    const dropped = event.dataTransfer?.files;
    if (dropped?.length > 1) complain(TEXTS.oneAtATime);
    else if (dropped?.length === 1) give(dropped[0]);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(chooser.files[0]);
  });

  /** A dropped or pasted picture takes the place of the chosen file. */
  function give(file) {
    const holder = new DataTransfer();
    holder.items.add(file);
    chooser.files = holder.files;
    show(file);
  }
}

/** By its type or its name: what it really is, the daemon tells by its content. */
function isClip(file) {
  return Boolean(file) && (file.type.startsWith("video/") || CLIPS.test(file.name));
}

function complain(detail) {
  showProblem(region, { title: TEXTS.notAttachable, detail });
}

function show(file) {
  const shown = document.getElementById("shown");
  const button = document.getElementById("send");
  button.textContent = isClip(file) ? button.dataset.clip : button.dataset.still;
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.hidden = !file;
  showProblem(region, null);
  if (!file) return;
  const most = Number(isClip(file) ? form.dataset.mostClipBytes : form.dataset.mostBytes);
  if (file.size > most) complain(TEXTS.fileTooLarge(Math.floor(most / 1e6)));
  shown.hidden = !PICTURES.includes(file.type);
  if (!shown.hidden) shown.src = URL.createObjectURL(file);
}

async function send(file) {
  const content = new FormData();
  const values = new FormData(form);
  for (const name of FIELDS) if (values.get(name)) content.append(name, values.get(name));
  const clip = isClip(file);
  content.append(clip ? "clip" : "image", file);
  showProblem(region, null);
  busy(true);
  const address = clip ? form.dataset.clips : form.dataset.action;
  finish(await postForm(address, content, (fraction) => progress(fraction, clip)));
}

function progress(fraction, clip) {
  const bar = document.getElementById("progress");
  const words = document.getElementById("progress-words");
  if (fraction < 1) {
    bar.value = fraction;
    words.textContent = TEXTS.sendingFile;
  } else {
    bar.removeAttribute("value");
    words.textContent = clip ? TEXTS.readingClip : TEXTS.lookingForFaces;
  }
}

function busy(is) {
  form.querySelector("button[type=submit]").disabled = is;
  document.getElementById("progress").hidden = !is;
  if (!is) document.getElementById("progress-words").textContent = "";
}

function finish({ ok, document: answer }) {
  if (ok) {
    location.assign(answer.clipId ? `/clips/${encodeURIComponent(answer.clipId)}` : `/probes/${encodeURIComponent(answer.probeId)}`);
    return;
  }
  busy(false);
  showProblem(region, answer);
  region.scrollIntoView({ block: "nearest" });
}
