// A lead for those who release it: release, withdrawal, more time.

import { post, showProblem, wireButtons, wireReasons } from "/static/calls.js";
import { onKeys } from "/static/keys.js";
import { isAboutLead, keepLive } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const LOOK_EVERY = 5000;
const { lead } = document.getElementById("lead").dataset;
const region = () => document.getElementById("answer");
const refresh = keepLive({ isWanted: (event) => isAboutLead(event, lead) });

wireButtons(() => {});
onKeys({ r: () => document.getElementById("release-button")?.focus() });

/** That examiners have come to agree is no event, which the whole floor reads: while they are at work, look. */
setInterval(() => {
  const waits = document.querySelector("#standing [data-waits]");
  if (waits && document.visibilityState === "visible") refresh();
}, LOOK_EVERY);

const BODIES = {
  release: (values) => ({ candidates: values.getAll("candidate") }),
  extend: (values) => ({ hours: Number(values.get("hours")), reason: values.get("reason") }),
};

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const body = BODIES[form.id]?.(new FormData(form));
  if (!body) return;
  event.preventDefault();
  const most = Number(form.dataset.most);
  if (form.id === "release" && body.candidates.length > most) {
    showProblem(region(), TEXTS.tooMany(most));
    return;
  }
  const button = form.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  told(await post(form.dataset.action, body));
  button.disabled = false;
});

wireReasons("#withdraw", told);

function told({ ok, document: answer }) {
  if (ok) location.reload();
  else showProblem(region(), answer);
}
