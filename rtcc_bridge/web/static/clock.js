// The clock of a page that follows no feed: where one signs in, and what refuses.

import { tick } from "/static/times.js";

tick();
