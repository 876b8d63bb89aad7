// Pictures of a person, sent for a gallery one after the other, and what becomes of each.

import { postForm, showProblem } from "/static/calls.js";
import { say } from "/static/live.js";
import { pollQueue } from "/static/polled.js";
import { TEXTS } from "/static/texts.js";

const FIELDS = ["person", "provenance", "lawfulBasis", "retainUntil", "takenOn", "attestedAdult"];
const LOOK_EVERY = 1000;

/** Wires the form, where there is one. Returns what is called when the page was refreshed: it names one's own files. */
export function wireEnrolment(refresh) {
  const form = document.getElementById("enrol");
  if (!form) return () => {};
  const region = document.getElementById("enrol-answer");
  const chooser = document.getElementById("pictures");
  const button = form.querySelector("button");
  const files = new Map(); // by the picture's id: the file's name, which never leaves this browser
  const told = new Set();

  pollQueue(form.dataset.action, (one) => `${one.pictureId} ${one.state}`, refresh, LOOK_EVERY);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    showProblem(region, null);
    const chosen = [...chooser.files];
    const problem = await sendAll(chosen);
    showProblem(region, problem);
    if (!problem) {
      chooser.value = "";
      form.elements.takenOn.value = "";
    }
    document.getElementById("progress").hidden = true;
    document.getElementById("progress-words").textContent = problem ? "" : TEXTS.sent(chosen.length);
    button.disabled = false;
    refresh();
  });

  /** Ends with the first that is refused: what was stated beside it is stated beside the others too. */
  async function sendAll(chosen) {
    const most = Number(form.dataset.mostBytes);
    const large = chosen.find((file) => file.size > most);
    if (large) return { title: TEXTS.notSent(large.name), detail: TEXTS.tooLarge(Math.floor(most / 1e6)) };
    for (const [place, file] of chosen.entries()) {
      const values = new FormData(form);
      const content = new FormData();
      for (const name of FIELDS) if (values.get(name)) content.append(name, values.get(name));
      content.append("image", file, "picture");
      const { ok, document: answer } = await postForm(form.dataset.action, content, (part) => progress(part, place, chosen));
      if (!ok) return { ...answer, title: TEXTS.notSent(file.name) };
      files.set(answer.pictureId, file.name);
      refresh();
    }
    return null;
  }

  return () => {
    for (const row of document.querySelectorAll("[data-picture]")) {
      const name = files.get(row.dataset.picture);
      if (!name) continue;
      row.querySelector(".file").textContent = name;
      if (row.dataset.state === "waiting" || told.has(row.dataset.picture)) continue;
      told.add(row.dataset.picture);
      say("say-politely", `${name}: ${row.querySelector(".badge").textContent}. ${row.querySelector("[data-words]").textContent}`);
    }
  };
}

function progress(part, place, chosen) {
  const bar = document.getElementById("progress");
  bar.hidden = false;
  if (part < 1) bar.value = (place + part) / chosen.length;
  const words = part < 1 ? TEXTS.sending : TEXTS.lookedAt;
  document.getElementById("progress-words").textContent = words(place + 1, chosen.length, chosen[place].name);
}
