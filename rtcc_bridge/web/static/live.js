// What every live page does: follow the feed, refresh, show how the connection stands, tell a screen reader what is new.

import { followFeed } from "/static/feed.js";
import { refresher } from "/static/refresh.js";
import { now, tick, whenOver } from "/static/times.js";

const WORDS = { live: "Live", reconnecting: "Reconnecting", unreachable: "Daemon not reachable" };

export function say(id, text) {
  const line = document.createElement("p");
  line.textContent = text;
  const region = document.getElementById(id);
  region.append(line);
  while (region.children.length > 5) region.firstChild.remove();
}

/** A banner about something that is wrong; without text it goes away. */
export function showOutage(name, text) {
  const region = document.getElementById("outages");
  const shown = [...region.children].find((one) => one.dataset.name === name);
  if (!text) {
    shown?.remove();
  } else if (!shown || shown.textContent !== text) {
    const banner = shown ?? document.createElement("p");
    banner.className = "outage";
    banner.dataset.name = name;
    banner.textContent = text;
    if (!shown) region.append(banner);
  }
}

function showConnection(state, since) {
  const connection = document.getElementById("connection");
  connection.dataset.state = state;
  document.getElementById("connection-words").textContent = WORDS[state];
  const at = since === null ? "" : new Date(now() - (Date.now() - since)).toLocaleTimeString([], { timeStyle: "short" });
  const text = `The daemon has not answered since ${at}: what you see may be out of date. This page reconnects by itself.`;
  showOutage("connection", state === "unreachable" ? text : null);
}

function announce(card, before) {
  const { alarm, announce: lead } = card.dataset;
  if (alarm && alarm !== before?.dataset.alarm) say("say-at-once", alarm);
  if (lead && lead !== before?.dataset.announce) say("say-politely", lead);
}

/** Keeps the page live; returns the function that refreshes it at once. */
export function keepLive({ onPart = () => {} } = {}) {
  const refresh = refresher({
    onCard: (card, before) => {
      card.classList.add("arrived");
      announce(card, before);
    },
    onPart: (part, before) => {
      announce(part, before);
      onPart(part, before);
    },
  });
  const { feedPosition, heartbeat } = document.body.dataset;
  tick();
  whenOver(refresh);
  followFeed({
    after: feedPosition,
    heartbeatSeconds: Number(heartbeat),
    onEvent: refresh,
    onState: showConnection,
    onReset: refresh,
  });
  return refresh;
}
