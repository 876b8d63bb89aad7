// Follows the live feed. EventSource is not used: it hides heartbeats, so a connection that died in silence looks alive,
// and it gives up for ever when the server answers that it is busy.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
const UNREACHABLE_AFTER = 8_000;

/**
 * Follows the feed at that address after that place on it.
 * Calls onEvent({type, data}), data being the event's JSON as text, for each event and onState("live" | "reconnecting" | "unreachable", since) when that changes.
 * onReset is called when events in between are no longer kept. Resumes after the last event by itself.
 */
export function followFeed({ address, after, heartbeatSeconds, onEvent, onState, onReset }) {
  const silence = heartbeatSeconds * 2000 + 3000;
  let lastId = String(after);
  let pause = FIRST_PAUSE;
  let lostAt = null;
  let givenUp = null;
  let shown = null;
  let stopped = false;
  let current = null;

  function show(state) {
    if (state !== shown && !stopped) {
      shown = state;
      onState(state, lostAt);
    }
  }

  function lost() {
    if (lostAt !== null) return;
    lostAt = Date.now();
    show("reconnecting");
    givenUp = setTimeout(() => show("unreachable"), UNREACHABLE_AFTER);
  }

  async function connect() {
    const stop = (current = new AbortController());
    let watchdog = setTimeout(() => stop.abort(), silence);
    try {
      const answer = await fetch(address, {
        headers: { "Last-Event-ID": lastId, Accept: "text/event-stream" },
        cache: "no-store",
        signal: stop.signal,
      });
      if (answer.status === 401) location.reload(); // nobody is signed in any more: it leads to where one can
      if (!answer.ok) throw new Error(`feed: ${answer.status}`);
      clearTimeout(givenUp);
      lostAt = null;
      pause = FIRST_PAUSE;
      show("live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => stop.abort(), silence);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) take(block);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  function take(block) {
    let type = "message";
    let data = "";
    for (const line of block.split("\n")) {
      const [name, text] = splitField(line);
      if (name === "id") lastId = text;
      else if (name === "event") type = text;
      else if (name === "data") data += text;
    }
    if (!data) return;
    if (type === "feed.reset") onReset();
    else onEvent({ type, data });
  }

  async function run() {
    while (!stopped) {
      try {
        await connect();
      } catch {
        // Whatever went wrong, the way back is the same: tell it, wait, connect again.
      }
      if (stopped) return;
      lost();
      await wait(pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  let wake = () => {};
  function wait(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  window.addEventListener("online", () => wake());
  window.addEventListener("pagehide", () => {
    stopped = true;
    current?.abort();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  run();
}

function splitField(line) {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}
