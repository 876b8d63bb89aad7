// An examiner's notes on their way to the daemon. What is not there yet lies in this browser, and nowhere once it is.

import { TEXTS } from "/static/texts.js";

const PREFIX = "rtcc-draft ";
const SAVE_AFTER = 400;
const AGAIN_AFTER = 3000;
const OLDEST = 24 * 3600 * 1000;
const SIGNED_OUT = 401;

/** key: whose notes on what. address: where they are kept. onState(text, {signedOut}): how it stands, for the reader. */
export class Draft {
  constructor({ key, address, onState, onRefused }) {
    this.key = PREFIX + key;
    this.address = address;
    this.onState = onState;
    this.onRefused = onRefused;
    this.opinion = null;
    this.timer = null;
    this.saving = null;
    sweep();
    window.addEventListener("pagehide", () => this.leave());
  }

  /** What could not be sent the last time; null where all was. */
  left() {
    try {
      return JSON.parse(localStorage.getItem(this.key))?.opinion ?? null;
    } catch {
      return null;
    }
  }

  change(opinion) {
    this.opinion = opinion;
    try {
      localStorage.setItem(this.key, JSON.stringify({ at: Date.now(), opinion }));
    } catch {
      // A browser that keeps nothing: what is sent is kept all the same.
    }
    this.onState(TEXTS.saving, {});
    this.later(SAVE_AFTER);
  }

  later(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** Resolves when what was noted is with the daemon, or cannot be. */
  async save() {
    clearTimeout(this.timer);
    if (this.saving) await this.saving;
    if (this.opinion === null) return;
    this.saving = this.send(this.opinion);
    await this.saving;
    this.saving = null;
  }

  async send(opinion) {
    let answer;
    try {
      answer = await fetch(this.address, this.request(opinion));
    } catch {
      this.onState(TEXTS.notSaved, {});
      this.later(AGAIN_AFTER);
      return;
    }
    if (answer.ok) {
      if (this.opinion === opinion) this.forget();
      this.onState(this.opinion === null ? TEXTS.saved : TEXTS.saving, {});
    } else if (answer.status === SIGNED_OUT) {
      this.onState(TEXTS.signedOut, { signedOut: true });
    } else if (answer.status >= 500) {
      this.onState(TEXTS.notSaved, {});
      this.later(AGAIN_AFTER);
    } else {
      this.onState("", {});
      this.onRefused(await answer.json());
    }
  }

  request(opinion) {
    return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(opinion) };
  }

  leave() {
    if (this.opinion !== null) fetch(this.address, { ...this.request(this.opinion), keepalive: true }).catch(() => {});
  }

  forget() {
    this.opinion = null;
    clearTimeout(this.timer);
    forgetDraft(this.key.slice(PREFIX.length));
  }
}

export function forgetDraft(key) {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // Nothing is kept there then.
  }
}

/** What somebody left here and did not come back for. */
function sweep() {
  try {
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
      const { at } = JSON.parse(localStorage.getItem(name));
      if (!(Date.now() - at < OLDEST)) localStorage.removeItem(name);
    }
  } catch {
    // A browser that keeps nothing.
  }
}
