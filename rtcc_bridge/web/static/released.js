// A released lead for its receiver: the outcome, and that a withdrawal is known.

import { post, showProblem, wireButtons } from "/static/calls.js";
import { onKeys } from "/static/keys.js";
import { follow, isAboutLead } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const page = document.getElementById("released").dataset;
const region = document.getElementById("answer");
const form = document.getElementById("report");

// Each look at what was released is audited, so it is loaded anew when it changed, and not before.
follow({ onEvent: (event) => isAboutLead(event, page.lead) && look(), onReset: look });

async function look() {
  try {
    const answer = await fetch(`/api/v1/leads/${encodeURIComponent(page.lead)}`, { cache: "no-store" });
    if (answer.ok && String((await answer.json()).data.sequence) !== page.sequence) location.reload();
  } catch {
    // The next event asks again.
  }
}

wireButtons(({ ok, document: answer }) => {
  if (ok) location.reload();
  else showProblem(region, answer);
});
onKeys({ o: () => document.querySelector("#report input")?.focus() });

if (form) wireReport();

function wireReport() {
  const items = document.getElementById("items");
  const blank = items.querySelector(".item");

  document.getElementById("add-item").addEventListener("click", () => add().querySelector("select").focus());
  items.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove]")) return;
    event.target.closest(".item").remove();
    document.getElementById("add-item").focus();
  });
  form.addEventListener("change", (event) => {
    const isFirst = event.target.value === "corroborated" && !given().length;
    if (event.target.name === "outcome" && isFirst) add();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector(".primary");
    if (button.disabled) return;
    const outcome = form.elements.outcome.value;
    if (outcome === "corroborated" && !given().length) {
      showProblem(region, TEXTS.needsItem);
      return;
    }
    button.disabled = true;
    const body = { outcome, investigator: form.elements.investigator.value, evidence: given().map(asEvidence) };
    const { ok, document: answer } = await post(form.dataset.action, body);
    button.disabled = false;
    if (ok) location.reload();
    else showProblem(region, answer);
  });

  function given() {
    return [...items.querySelectorAll(".item")].filter((one) => one !== blank);
  }

  function add() {
    const item = blank.cloneNode(true);
    item.hidden = item.disabled = false;
    items.append(item);
    return item;
  }
}

function asEvidence(item) {
  const value = (name) => item.querySelector(`[name=${name}]`).value;
  return {
    kind: value("kind"),
    itemNumber: value("itemNumber"),
    obtainedAt: new Date(value("obtainedAt")).toISOString(),
  };
}
