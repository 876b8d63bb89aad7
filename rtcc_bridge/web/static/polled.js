// A queue that is no event on the feed, which the whole floor reads: looked at now and then, loaded anew when it changed.

const LOOK_EVERY = 4000;

/**
 * Calls onChange when what `address` lists is another than before. idOf(item): what tells one item from another. every:
 * milliseconds between two looks.
 */
export function pollQueue(address, idOf, onChange, every = LOOK_EVERY) {
  let before = null;

  async function look() {
    try {
      const answer = await fetch(address, { cache: "no-store", headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { items } = await answer.json();
      const now = items.map(idOf).join(" ");
      if (before !== null && now !== before) onChange();
      before = now;
    } catch {
      // The connection's own state says that the daemon is not reachable.
    }
  }

  look();
  setInterval(look, every);
}
