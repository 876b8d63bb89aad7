// Oversight: lifting the end of an analyst's deferrals. Nothing here is loaded anew by itself.

import { post, showProblem, wireButtons } from "/static/calls.js";
import { follow } from "/static/live.js";

follow({ onEvent: () => {}, onReset: () => {} });
wireButtons(() => {});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest(".lift");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  const { ok, document: answer } = await post(form.dataset.action, { reason: new FormData(form).get("reason") });
  button.disabled = false;
  if (ok) location.reload();
  else showProblem(document.getElementById("answer"), answer);
});
