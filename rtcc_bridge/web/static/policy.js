// The policy: how a file that somebody chooses differs from the one in force.

import { post, showProblem } from "/static/calls.js";
import { follow } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const form = document.getElementById("compare");
const region = document.getElementById("answer");
const shown = document.getElementById("comparison");

follow({ onEvent: () => {}, onReset: () => {} });
document.body.removeAttribute("data-starting");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  const { file, which } = form.elements;
  const body = { text: await file.files[0].text(), isEarlier: which.value === "earlier" };
  const answer = await post(form.dataset.action, body);
  button.disabled = false;
  showProblem(region, answer.ok ? null : answer.document);
  shown.hidden = !answer.ok;
  if (answer.ok) show(answer.document);
});

function field(name) {
  return shown.querySelector(`[data-field=${name}]`);
}

function show({ title, policyHash, isInForce, takenAt, lines }) {
  field("title").textContent = title;
  field("policyHash").textContent = policyHash;
  field("standing").textContent = isInForce ? TEXTS.policyInForce : takenAt ? TEXTS.policyTaken(takenAt.slice(0, 10)) : "";
  const told = lines.length || isInForce ? lines : [TEXTS.policySame];
  field("lines").replaceChildren(
    ...told.map((text) => {
      const line = document.createElement("li");
      line.textContent = text;
      return line;
    }),
  );
}
