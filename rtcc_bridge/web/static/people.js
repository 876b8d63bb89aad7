// People: signing somebody out. Each look is audited, so nothing here is loaded anew by itself.

import { showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { follow } from "/static/live.js";

follow({ onEvent: () => {}, onReset: () => {} });
wireButtons(() => {});

wireReasons(".end", ({ ok, document: answer }) => {
  if (ok) location.reload();
  else showProblem(document.getElementById("answer"), answer);
});
