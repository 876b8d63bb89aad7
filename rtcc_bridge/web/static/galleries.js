// Galleries: followed while they are enrolled into; taking a person out for good, with both receipts.

import { post, showProblem } from "/static/calls.js";
import { wireEnrolment } from "/static/enrol.js";
import { stepByKeys } from "/static/keys.js";
import { keepLive } from "/static/live.js";
import { pollQueue } from "/static/polled.js";
import { TEXTS } from "/static/texts.js";

const form = document.getElementById("expunge");
const receipt = document.getElementById("receipt");
let version = null;

// No event of the feed speaks of galleries: the whole floor reads it.
const refresh = keepLive({ isWanted: () => false, onPart: () => [showSecond, showSent].forEach((show) => show()) });
const showSent = wireEnrolment(refresh);
pollQueue("/api/v1/galleries", (one) => `${one.name} ${one.version} ${one.removalsWithoutSecondReceipt}`, refresh);
stepByKeys();
document.body.removeAttribute("data-starting");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const region = document.getElementById("answer");
  const [button, { person, again, reason }] = [form.querySelector("button"), form.elements];
  showProblem(region, person.value === again.value ? null : { title: TEXTS.notTheSame, detail: TEXTS.typeAgain });
  if (person.value !== again.value || button.disabled) return;
  button.disabled = true;
  const answer = await post(form.dataset.action, { person: person.value, reason: reason.value });
  button.disabled = false;
  showProblem(region, answer.ok ? null : answer.document);
  if (!answer.ok) return;
  form.reset();
  showFirst(answer.document);
  refresh();
});

function field(name) {
  return receipt.querySelector(`[data-field=${name}]`);
}

function showFirst(given) {
  version = given.version;
  for (const name of ["version", "imagesRemoved", "leadsWithdrawn", "auditLeaf"]) field(name).textContent = given[name];
  field("removedAt").textContent = `${given.removedAt.slice(0, 19).replace("T", " ")} UTC`;
  field("bytesGone").textContent = TEXTS.bytesWait;
  receipt.classList.add("waits");
  receipt.hidden = false;
}

function showSecond() {
  const gone = document.querySelector(`[data-removal="${version}"]`)?.dataset.gone;
  if (version === null || !gone) return;
  field("bytesGone").textContent = gone;
  receipt.classList.remove("waits");
}
