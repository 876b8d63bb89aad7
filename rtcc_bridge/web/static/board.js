// The floor board.

import { wireButtons } from "/static/calls.js";
import { collectChanges } from "/static/changes.js";
import { wireChime } from "/static/chime.js";
import { showImminent, watchFloor } from "/static/floor.js";
import { onKeys, stepByKeys } from "/static/keys.js";
import { keepLive, say, showOutage } from "/static/live.js";
import { pollQueue } from "/static/polled.js";
import { TEXTS } from "/static/texts.js";

const title = document.title;
const sound = wireChime(document.getElementById("chime"));

const refresh = keepLive({
  changes: collectChanges("/board/changes"),
  onAlarm: sound.chime,
  onLoaded: () => showImminent(title),
});

wireButtons(({ ok, document: answer, button }) => {
  if (ok) say("say-politely", button.dataset.done);
  else showOutage("refused", TEXTS.inOneLine(answer));
  if (ok) showOutage("refused", null);
  refresh();
});

stepByKeys();
onKeys({ f: () => document.getElementById("first-filter").focus(), m: sound.toggle });
showImminent(title);
watchFloor("/api/v1/floor");
// A search that begins to wait is no event on the feed, which the whole floor reads.
if (document.querySelector("#waiting[data-decides]")) pollQueue("/api/v1/probes", (one) => one.probeId, refresh);
