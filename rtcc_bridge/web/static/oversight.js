// Oversight: lifting the end of an analyst's deferrals, and that a receiver outside was told of a withdrawal. Nothing
// here is loaded anew by itself.

import { post, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { follow } from "/static/live.js";

follow({ onEvent: () => {}, onReset: () => {} });
wireButtons(() => {});

wireReasons(".lift", ({ ok, document: answer }) => {
  if (ok) location.reload();
  else showProblem(document.getElementById("answer"), answer);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest(".told");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  const values = new FormData(form);
  const body = { toldAt: new Date(values.get("toldAt")).toISOString(), how: values.get("how") };
  const { ok, document: answer } = await post(form.dataset.action, body);
  button.disabled = false;
  if (ok) location.reload();
  else showProblem(document.getElementById("told-answer"), answer);
});
