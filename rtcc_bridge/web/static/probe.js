// A still: the choice of the one face by mouse or keyboard, the supervisor's decision, and the state, kept live.

import { keepProblem, post, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { holdSearch, newPicture, wireEdits } from "/static/edits.js";
import { watchFloor } from "/static/floor.js";
import { keepLive, say } from "/static/live.js";
import { GONE } from "/static/refresh.js";
import { TEXTS } from "/static/texts.js";

const LOOK_EVERY = 2000;

const shown = document.getElementById("probe").dataset.probe;

// The still is opened anew, which is audited each time, only when something of it can have changed.
const refresh = keepLive({ isWanted: ({ data }) => data.includes(shown), onPart: tell });
const answers = () => document.getElementById("answer");

wireEdits({ refresh, answers });
prepare();

wireButtons(({ ok, document: answer, button }) => {
  if (ok) say("say-politely", button.dataset.done);
  showProblem(answers(), ok ? null : answer);
  refresh();
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("#choose");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  told(await post(form.dataset.action, { number: Number(new FormData(form).get("number")) }));
  button.disabled = false;
});

wireReasons("#refuse", told);

function told({ ok, document: answer }) {
  document.activeElement?.blur();
  showProblem(answers(), ok ? null : answer);
  refresh();
}

document.addEventListener("change", (event) => {
  if (event.target.name === "number") mark();
});

document.addEventListener("click", (event) => {
  const face = event.target.closest("[data-face]");
  if (face) choose(face.dataset.face);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=text], input[type=number], input:not([type])")) return;
  if (/^[1-9]$/.test(event.key)) choose(event.key);
  else if (event.key === "Enter" && event.target === document.body) document.getElementById("choose")?.requestSubmit();
});

/** Chooses a face; only the form's button, or Enter on it, sends the choice. */
function choose(number) {
  const radio = document.querySelector(`#choose input[value="${CSS.escape(number)}"]`);
  if (!radio) return;
  if (radio.disabled) {
    say("say-politely", TEXTS.tooPoor(number));
    return;
  }
  radio.checked = true;
  mark();
  document.getElementById("choose-button").focus();
}

function mark() {
  const chosen = document.querySelector("#choose input:checked")?.value;
  for (const face of document.querySelectorAll("[data-face]")) {
    face.classList.toggle("chosen", face.dataset.face === chosen);
  }
  const button = document.getElementById("choose-button");
  if (button && chosen) button.textContent = TEXTS.searchFor(chosen);
}

function tell(part, before) {
  keepProblem(part, before);
  if (part.id === "picture") newPicture();
  if (part.id === "side") askFloor();
  prepare();
  const heading = part.querySelector("h1")?.textContent;
  if (heading && heading !== before.querySelector("h1")?.textContent) {
    say("say-politely", `${heading}. ${document.getElementById("state-words").textContent}`);
  }
}

function prepare() {
  const choosing = document.getElementById("choose") !== null;
  document.querySelector(".still")?.classList.toggle("choosable", choosing);
  if (!choosing) return;
  holdSearch();
  mark();
  if (document.querySelector("#choose input:checked")) document.getElementById("choose-button").focus();
}

// Whoever waits for the search is told what keeps it waiting, as the board is.
const askFloor = watchFloor("/api/v1/floor", () => document.getElementById("side").dataset.moving?.startsWith("authorized"));

/** Not every step of a probe is an event on the feed, which the whole floor reads: while one is due, look for it. */
setInterval(async () => {
  const { moving } = document.getElementById("side").dataset;
  if (!moving) return;
  try {
    const answer = await fetch(`/api/v1/probes/${encodeURIComponent(shown)}/state`, { cache: "no-store", headers: { Accept: "application/json" } });
    if (GONE.includes(answer.status)) refresh();
    if (!answer.ok) return;
    const { state, approval } = await answer.json();
    if (`${state} ${approval}` !== moving) refresh();
  } catch {
    // The connection's own state says that the daemon is not reachable.
  }
}, LOOK_EVERY);
