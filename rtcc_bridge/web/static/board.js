// The floor board.

import { wireButtons } from "/static/calls.js";
import { keepLive, say, showOutage } from "/static/live.js";

const READINESS_EVERY = 5000;

const refresh = keepLive();

wireButtons(({ ok, document: answer, button }) => {
  if (ok) say("say-politely", button.dataset.done);
  else showOutage("refused", `${answer.title}: ${answer.detail}`);
  if (ok) showOutage("refused", null);
  refresh();
});

async function askReadiness() {
  let state = null;
  try {
    state = await (await fetch("/readyz", { cache: "no-store" })).json();
  } catch {
    return; // the connection's own state says that the daemon is not reachable
  }
  const meanings = (state.dependencies ?? []).map((dependency) => dependency.meaning).filter(Boolean);
  showOutage("dependencies", [...new Set(meanings)].join(" "));
}

askReadiness();
setInterval(askReadiness, READINESS_EVERY);
