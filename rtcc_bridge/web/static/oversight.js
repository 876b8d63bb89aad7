// Oversight: lifting the end of an analyst's deferrals. Nothing here is loaded anew by itself.

import { showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { follow } from "/static/live.js";

follow({ onEvent: () => {}, onReset: () => {} });
wireButtons(() => {});

wireReasons(".lift", ({ ok, document: answer }) => {
  if (ok) location.reload();
  else showProblem(document.getElementById("answer"), answer);
});
