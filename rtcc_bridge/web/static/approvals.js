// The supervisor's queue and one request: approve, or refuse with a reason, by mouse or keyboard.

import { keepProblem, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { onKeys, stepByKeys } from "/static/keys.js";
import { keepLive, say } from "/static/live.js";
import { pollQueue } from "/static/polled.js";

const shown = document.getElementById("request")?.dataset.probe;
const region = () => document.getElementById("answer") ?? document.getElementById("outages");
let decides = false;

// A request is opened anew, which is audited where it was searched before, only when something of it can have changed.
const refresh = keepLive({ isWanted: ({ data }) => shown !== undefined && data.includes(shown), onPart: followOn });

pollQueue("/api/v1/probes", (one) => one.probeId, refresh);
stepByKeys();
onKeys({
  a: () => document.getElementById("approve")?.focus(),
  r: () => document.getElementById("reason")?.focus(),
});

wireButtons(({ ok, document: answer, button }) => {
  if (ok) {
    say("say-politely", button.dataset.done);
    decides = true;
  }
  showProblem(region(), ok ? null : answer);
  refresh();
});

wireReasons("#refuse", ({ ok, document: answer, form }) => {
  if (ok) {
    decides = true;
    form.reset(); // so that the part is swapped although somebody was writing in it
  }
  showProblem(region(), ok ? null : answer);
  refresh();
});

/** After a decision of one's own, Enter goes on to the next request; after another's, nothing moves. */
function followOn(part, before) {
  keepProblem(part, before);
  if (part.id !== "decision" || !decides) return;
  decides = false;
  document.getElementById("following")?.focus();
}
