// The last minute: what the athlete did when, and where in it the page is.

import { colour } from "./theme.js";

const EVERY_MS = 200;

export class Timeline {
  /** `sought` is called with the moment, ms of media time, that somebody goes to. */
  constructor(input, strip, store, sought) {
    Object.assign(this, { input, strip, store, drawn: 0, held: false });
    const seek = () => this.store.last && sought(this.store.last.t + 1000 * input.valueAsNumber);
    input.addEventListener("input", seek);
    input.addEventListener("pointerdown", () => (this.held = true));
    addEventListener("pointerup", () => (this.held = false));
    new ResizeObserver(() => {
      strip.width = strip.clientWidth * (devicePixelRatio || 1);
      strip.height = strip.clientHeight * (devicePixelRatio || 1);
      this.drawn = 0;
    }).observe(strip);
  }

  /** Show where `t` lies, at `now`; `live`: at the end. */
  show(t, live, now) {
    if (!this.store.last) return;
    const ago = live ? 0 : Math.min(0, (t - this.store.last.t) / 1000);
    if (!this.held && Math.abs(this.input.valueAsNumber - ago) > 0.009) this.input.value = ago.toFixed(2);
    if (now - this.drawn > EVERY_MS) {
      this.drawn = now;
      this.#draw();
    }
  }

  #draw() {
    const context = this.strip.getContext("2d");
    const { width, height } = this.strip;
    const colours = Object.fromEntries(["board", "flight", "water"].map((name) => [name, colour(name)]));
    colours.entry = colours.water;
    context.clearRect(0, 0, width, height);
    const end = this.store.last.t;
    const place = (t) => width * (1 - (end - t) / this.store.keepMs);
    for (const { t, pose } of this.store.list) {
      const found = pose?.tracked && colours[pose.phase];
      if (!found) continue;
      context.fillStyle = found;
      const tall = pose.phase === "board" ? 0.4 : 1;
      context.fillRect(place(t), height * (1 - tall), Math.max(1, width / 1500), height * tall);
    }
  }
}
