// The queue of blind reviews: taking one opens it.

import { showProblem, wireButtons } from "/static/calls.js";
import { stepByKeys } from "/static/keys.js";
import { keepLive } from "/static/live.js";
import { pollQueue } from "/static/polled.js";

const refresh = keepLive({ isWanted: () => false });

pollQueue("/api/v1/reviews", (one) => `${one.reviewId}/${one.taken}`, refresh);
stepByKeys();
wireButtons(({ ok, document: answer, button }) => {
  if (ok) {
    location.assign(button.dataset.open);
    return;
  }
  showProblem(document.getElementById("answer"), answer);
  refresh();
});
