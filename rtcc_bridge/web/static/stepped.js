// A page that is loaded anew by its reader alone: times, keys, and how the connection stands.

import { stepByKeys } from "/static/keys.js";
import { follow } from "/static/live.js";

follow({ onEvent: () => {}, onReset: () => {} });
stepByKeys();
document.body.removeAttribute("data-starting");
