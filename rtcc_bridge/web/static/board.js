// The floor board.

import { wireButtons } from "/static/calls.js";
import { keepLive, say, showOutage } from "/static/live.js";

const FLOOR_EVERY = 5000;

const refresh = keepLive();

wireButtons(({ ok, document: answer, button }) => {
  if (ok) say("say-politely", button.dataset.done);
  else showOutage("refused", `${answer.title}: ${answer.detail}`);
  if (ok) showOutage("refused", null);
  refresh();
});

async function askFloor() {
  let state = null;
  try {
    const answer = await fetch("/api/v1/floor", { cache: "no-store" });
    if (!answer.ok) return; // what is known stays on the wall
    state = await answer.json();
  } catch {
    return; // the connection's own state says that the daemon is not reachable
  }
  const meanings = state.problems.map((problem) => problem.meaning);
  showOutage("dependencies", [...new Set(meanings)].join(" "));
}

askFloor();
setInterval(askFloor, FLOOR_EVERY);
