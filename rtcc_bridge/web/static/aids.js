// Overlay and blink: the candidate over the still, or the two in turn. Beside the form alone, and each use is recorded
// before it is had (P13).

import { post } from "/static/calls.js";
import { TEXTS } from "/static/texts.js";

const BLINK_EVERY = 800; // well below what WCAG 2.2 (2.3.1) takes for flashing

/**
 * address: where a use is noted. used: [{candidateRef, aid}] that were noted. beforeUse(): resolves when the daemon knows
 * who was kept. onChange(): what is shown of it is out of date. onRefused(problem).
 */
export class Aids {
  constructor({ address, used, beforeUse, onChange, onRefused }) {
    Object.assign(this, { address, beforeUse, onChange, onRefused });
    this.used = used;
    this.overlay = null;
    this.shown = null;
    this.timer = null;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.calm.addEventListener("change", () => this.stop());
  }

  /** The names of those that were used on a candidate. */
  on(ref) {
    return this.used.filter((one) => one.candidateRef === ref).map((one) => one.aid);
  }

  /** Shows the aid, or takes it away. isStill(): whether the candidate is still the one that is compared by the form. */
  async toggle(aid, ref, isStill) {
    if (this.shown === aid) return this.stop();
    if (!this.overlay || !(await this.note(aid, ref)) || !isStill()) return;
    this.stop();
    this.shown = aid;
    this.overlay.show({ alone: aid === "blink" });
    if (aid === "blink" && !this.calm.matches) this.timer = setInterval(() => this.change(), BLINK_EVERY);
    this.onChange();
  }

  async note(aid, ref) {
    if (this.on(ref).includes(aid)) return true;
    await this.beforeUse();
    const { ok, document: answer } = await post(this.address, { candidateRef: ref, aid });
    if (ok) this.used = answer.aids;
    this.onRefused(ok ? null : answer);
    return ok;
  }

  change() {
    if (this.overlay.canvas.hidden) this.overlay.show({ alone: true });
    else this.overlay.hide();
  }

  stop() {
    clearInterval(this.timer);
    if (this.shown === null) return;
    this.shown = null;
    this.overlay.hide();
    this.onChange();
  }

  /** What stands in the frame of the still beside it; without an aid nothing does. */
  words(name) {
    if (this.shown === "overlay") return TEXTS.laidOver(name);
    if (this.shown === "blink") return this.calm.matches ? TEXTS.inPlace(name) : TEXTS.inTurn(name);
    return "";
  }
}
