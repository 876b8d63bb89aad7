// Whether every process together does what the floor waits for, on the pages that the floor watches.

import { showOutage } from "/static/live.js";

const FLOOR_EVERY = 5000;

/** address: where it is asked. isWanted(): whether anybody at this page waits for it now. Returns what asks at once. */
export function watchFloor(address, isWanted = () => true) {
  async function ask() {
    if (!isWanted()) {
      showOutage("dependencies", null);
      return;
    }
    let state = null;
    try {
      const answer = await fetch(address, { cache: "no-store" });
      if (!answer.ok) return; // what is known stays on the wall
      state = await answer.json();
    } catch {
      return; // the connection's own state says that the daemon is not reachable
    }
    const meanings = state.problems.map((problem) => problem.meaning);
    showOutage("dependencies", [...new Set(meanings)].join("\n"));
  }

  ask();
  setInterval(ask, FLOOR_EVERY);
  return ask;
}

/** The number of imminent threats in the title, which a tab shows while another one is being read. */
export function showImminent(title) {
  const count = document.querySelectorAll(".incident.imminent").length;
  document.title = count ? `(${count}) ${title}` : title;
}
