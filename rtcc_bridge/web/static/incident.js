// An incident: kept live, and the form that attaches a still to it.

import { get, postForm, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { keepLive, say } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const FIELDS = ["purpose", "legalBasis", "caseNumber", "requestor", "attestedOriginal", "warrantOrExigency", "samePersonAs"];
const SHARED = ["legalBasis", "caseNumber", "requestor"]; // beside the purpose: what one approval is for (P01)
const PICTURES = ["image/jpeg", "image/png", "image/webp"];
const CLIPS = /\.(mp4|m4v|mov|mkv|avi)$/i;

const refresh = keepLive({ onPart: followPart });
const form = document.getElementById("attach");
let written = null; // in the fields that an approved search's words stand in now
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

function followPart(part, before) {
  if (part.id === "offer") followOffer(part);
  if (part.id === "same-person") followApprovals(part, before);
}

/** Whoever fills in the form while the incident ends is told so at once; what was written comes back with the incident. */
function followOffer(part) {
  const isOpen = part.hidden; // it says why nothing can be attached
  if (!isOpen) say("say-at-once", part.textContent);
  if (form) form.hidden = !isOpen;
  else if (isOpen) location.reload(); // which brings the form
}

/** What was chosen stays so, as long as its approval covers a further still. */
function followApprovals(part, before) {
  const chosen = before.querySelector("input:checked")?.value;
  if (!chosen) return;
  const same = [...part.querySelectorAll("input")].find((one) => one.value === chosen);
  if (same) {
    same.checked = true;
  } else {
    giveBack();
    showProblem(region, TEXTS.approvalEnded);
  }
}

/** Under the approval of another still, the form says what that search was approved for, and nothing else. */
async function shareApproval() {
  const chosen = samePerson();
  if (!chosen) {
    giveBack();
    return;
  }
  const { ok, document: first } = await get(`/api/v1/probes/${encodeURIComponent(chosen)}`);
  if (samePerson() !== chosen) return;
  if (ok) {
    takeOver(first);
    return;
  }
  form.querySelector("[name=samePersonAs][value='']").checked = true;
  giveBack();
  showProblem(region, first);
}

function samePerson() {
  return new FormData(form).get("samePersonAs");
}

function takeOver(first) {
  const { elements } = form;
  const fields = [...SHARED, "warrantOrExigency"].filter((name) => elements[name]);
  written ??= { purpose: new FormData(form).get("purpose"), texts: fields.map((name) => [name, elements[name].value]) };
  for (const name of fields) {
    elements[name].value = first[name] ?? "";
    elements[name].readOnly = SHARED.includes(name);
  }
  for (const one of purposes()) {
    one.checked = one.value === first.purpose;
    one.disabled = !one.checked;
  }
  showProblem(region, null);
  say("say-politely", TEXTS.takenOver);
}

/** What was written before an approved search's words took its place. */
function giveBack() {
  if (!written) return;
  for (const [name, value] of written.texts) {
    form.elements[name].value = value;
    form.elements[name].readOnly = false;
  }
  for (const one of purposes()) {
    one.checked = one.value === written.purpose;
    one.disabled = false;
  }
  written = null;
}

function purposes() {
  return form.querySelectorAll("[name=purpose]");
}

function wireForm() {
  form.addEventListener("change", ({ target }) => {
    if (target.name === "samePersonAs") shareApproval();
  });
  if (samePerson()) shareApproval(); // chosen before this was loaded, or by a browser that remembers what was filled in
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
