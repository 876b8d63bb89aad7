// The leads that were released to the reader.

import { wireButtons } from "/static/calls.js";
import { stepByKeys } from "/static/keys.js";
import { keepLive } from "/static/live.js";

keepLive({ isWanted: ({ type }) => type.startsWith("lead.") || type === "floor.lead" });
stepByKeys();
wireButtons(() => {});
