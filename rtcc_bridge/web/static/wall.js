// The board for a wall. There is nobody to scroll it: what does not fit is counted, never shown by half.

import { showImminent, watchFloor } from "/static/floor.js";
import { keepLive } from "/static/live.js";
import { TEXTS } from "/static/texts.js";

const title = document.title;

function fit() {
  for (const list of document.querySelectorAll(".fitted")) {
    const end = list.getBoundingClientRect().bottom + 1; // what is over by less is rounding
    for (const card of list.children) card.classList.toggle("left-out", card.getBoundingClientRect().bottom > end);
  }
  sayWhatIsLeftOut();
}

function sayWhatIsLeftOut() {
  const { total, imminent } = document.getElementById("total").dataset;
  const shown = [...document.querySelectorAll("#incidents > :not(.left-out)")];
  const dangers = Number(imminent) - shown.filter((card) => card.classList.contains("imminent")).length;
  const line = document.getElementById("incidents-left-out");
  line.textContent = TEXTS.leftOut(Number(total) - shown.length, dangers);
  line.classList.toggle("alarm", dangers > 0);
  const leads = document.getElementById("leads");
  const hidden = leads.querySelectorAll(".left-out").length;
  document.getElementById("leads-left-out").textContent = leads.hasAttribute("data-capped")
    ? TEXTS.leftOutAtLeast(hidden + 1)
    : TEXTS.leftOut(hidden, 0);
}

function arrange() {
  showImminent(title);
  fit();
}

keepLive({ onLoaded: arrange });
arrange();
const resized = new ResizeObserver(fit); // of the screen, or of what a banner has left
for (const list of document.querySelectorAll(".fitted")) resized.observe(list.parentElement);
document.fonts.ready.then(fit);
watchFloor("/wall/floor");
