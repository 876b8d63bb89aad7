// What every live page does: follow the feed, refresh, show how the connection stands, tell a screen reader what is new.

import { followFeed } from "/static/feed.js";
import { refresher } from "/static/refresh.js";
import { TEXTS } from "/static/texts.js";
import { inBothTimes, now, tick, whenOver } from "/static/times.js";

const foot = document.querySelector("footer");
const outages = document.getElementById("outages");
new ResizeObserver(() => outages.style.setProperty("--foot", `${foot.offsetHeight}px`)).observe(foot);

export function say(id, text) {
  const line = document.createElement("p");
  line.textContent = text;
  const region = document.getElementById(id);
  region.append(line);
  while (region.children.length > 5) region.firstChild.remove();
}

/** A banner about something that is wrong, above the foot of the page; without text it goes away. */
export function showOutage(name, text) {
  const shown = [...outages.children].find((one) => one.dataset.name === name);
  if (!text) {
    shown?.remove();
  } else if (!shown || shown.textContent !== text) {
    const banner = shown ?? document.createElement("p");
    banner.className = "outage";
    banner.dataset.name = name;
    banner.textContent = text;
    if (!shown) outages.append(banner);
  }
}

function showConnection(state, since) {
  const connection = document.getElementById("connection");
  connection.dataset.state = state;
  document.getElementById("connection-words").textContent = TEXTS.connection[state];
  const at = since === null ? "" : inBothTimes(now() - (Date.now() - since));
  showOutage("connection", state === "unreachable" ? TEXTS.noAnswerSince(at) : null);
}

function announce(card, before, onAlarm) {
  const { alarm, announce: lead } = card.dataset;
  if (alarm && alarm !== before?.dataset.alarm) {
    say("say-at-once", alarm);
    onAlarm();
  }
  if (lead && lead !== before?.dataset.announce) say("say-politely", lead);
}

/** Follows the feed and shows how the connection stands. `onEvent` as `followFeed` has it; onReset when some are lost. */
export function follow({ onEvent, onReset }) {
  const { feed, feedPosition, heartbeat } = document.body.dataset;
  tick();
  followFeed({
    address: feed,
    after: feedPosition,
    heartbeatSeconds: Number(heartbeat),
    onEvent,
    onState: showConnection,
    onReset,
  });
}

/** Whether an event of the feed is about this lead. Whatever cannot be read is taken for one. */
export function isAboutLead({ type, data }, leadId) {
  if (!type.startsWith("lead.") && type !== "floor.lead") return false;
  try {
    return JSON.parse(data).data.leadId === leadId;
  } catch {
    return true;
  }
}

/**
 * Keeps the page live; returns the function that refreshes it at once. isWanted({type, data}): whether an event can have
 * changed the page: where each look is audited, the page is not loaded for nothing. onAlarm(): something imminent has
 * come. onLoaded() and changes: as `refresher` has them.
 */
export function keepLive({
  onPart = () => {},
  isWanted = () => true,
  onAlarm = () => {},
  onLoaded = () => {},
  changes = undefined,
} = {}) {
  const ask = refresher({
    onCard: (card, before) => {
      if (!before) card.classList.add("arrived"); // one that only changed stays calm
      announce(card, before, onAlarm);
    },
    onPart: (part, before) => {
      announce(part, before, onAlarm);
      onPart(part, before);
    },
    onLoaded,
    changes,
  });
  const refresh = () => {
    changes?.everything();
    ask();
  };
  whenOver(refresh);
  follow({
    onEvent: (event) => {
      if (!isWanted(event)) return;
      changes?.note(event);
      ask();
    },
    onReset: refresh,
  });
  return refresh;
}
