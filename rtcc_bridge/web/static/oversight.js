// Oversight: lifting the end of an analyst's deferrals, that a receiver outside was told of a withdrawal, and discovery
// packets. Nothing here is loaded anew by itself.

import { post, postForFile, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { follow } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

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

document.getElementById("packet")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  if (button.disabled) return;
  const values = new FormData(form);
  const body = { reason: values.get("reason"), handedTo: { office: values.get("office"), name: values.get("name") } };
  if (values.get("disclosureOrder")) body.disclosureOrder = values.get("disclosureOrder");
  const words = document.getElementById("packet-words");
  const progress = form.querySelector("progress");
  const region = document.getElementById("packet-answer");
  showProblem(region, null);
  button.disabled = true;
  progress.hidden = false;
  words.textContent = TEXTS.packetIsMade;
  const lead = encodeURIComponent(values.get("lead").trim());
  const { ok, name, document: answer } = await postForFile(`/api/v1/leads/${lead}/discovery-packet`, body);
  button.disabled = false;
  progress.hidden = true;
  words.textContent = ok ? TEXTS.packetMade(name) : "";
  if (!ok) showProblem(region, answer);
});
