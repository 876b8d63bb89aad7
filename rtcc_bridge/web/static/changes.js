// What the feed told of since the board was loaded last, so that only that is loaded: with 500 incidents on the board and
// 50 changes a second, the whole page would be half a megabyte several times a second.

const MOST_INCIDENTS = 100; // as the server takes them
const LONGEST_ADDRESS = 6000;
const OF_INCIDENTS = ["floor.incident", "floor.threat"];

/** address: where the changed parts are had; it takes the page's own query besides. */
export function collectChanges(address) {
  let incidents = new Set();
  let leads = false;
  let whole = false;

  return {
    /** An event of the feed: what it is about has to be loaded. */
    note({ type, data }) {
      if (type.startsWith("lead.") || type === "floor.lead") {
        leads = true;
        return;
      }
      const told = OF_INCIDENTS.includes(type) ? detailsOf(data) : null;
      // What is merged changes the incident that goes on as well, which has no event of its own.
      if (!told?.incidentId || told.mergedInto) whole = true;
      else incidents.add(told.incidentId);
    },

    /** Nobody knows what changed. */
    everything() {
      whole = true;
    },

    /** {address, asked}: where all of it is had, and the incidents among it. Null when the page is loaded whole. */
    take() {
      const asked = incidents;
      const query = new URLSearchParams(location.search);
      for (const incident of asked) query.append("incident", incident);
      if (leads || isShownByALead(asked)) query.append("with-leads", "");
      const there = `${address}?${query}`;
      const inPart = !whole && asked.size <= MOST_INCIDENTS && there.length <= LONGEST_ADDRESS;
      incidents = new Set();
      leads = whole = false;
      return inPart ? { address: there, asked: new Set([...asked].map(asInMarkup)) } : null;
    },
  };
}

/** As an attribute says it: HTML knows one kind of line break (WHATWG HTML, 13.2.3.5). */
function asInMarkup(text) {
  return text.replace(/\r\n?/g, "\n");
}

function isShownByALead(asked) {
  const incidents = new Set([...asked].map(asInMarkup));
  return [...document.querySelectorAll("#leads [data-incident]")].some((card) => incidents.has(card.dataset.incident));
}

function detailsOf(text) {
  try {
    return JSON.parse(text).data;
  } catch {
    return null;
  }
}
