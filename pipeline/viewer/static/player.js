// Which moment is shown: now, one that was paused at, or something that is played again.

export const SPEEDS = [1, 0.5, 0.25, 0.1];

export class Player {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.live();
  }

  get isLive() { return this.mode === "live"; }

  live() {
    this.mode = "live";
    this.frames = this.store;
    this.dive = null;
    this.speed = 1;
    this.t ??= 0;
  }

  /** Stop at a moment of what is shown. */
  pause(t = this.t) {
    this.mode = "paused";
    this.t = t;
  }

  /** Go on from where it stands. */
  play() {
    this.mode = "again";
    this.asked = null;
  }

  /** Show frames from one moment to another, again and again, until something else is asked for. */
  repeat(frames, from, to, dive) {
    Object.assign(this, { frames, dive, from, to, t: from, speed: 0.5 });
    this.play();
  }

  /** One frame on or back (`by` 1 or -1): to the next that has a picture, if any has. */
  step(by) {
    const { list } = this.frames;
    const pictured = list.some(({ blob }) => blob);
    let at = this.frames.at(this.t + 0.001);
    if (by < 0 && pictured) while (at > 0 && !list[at].blob) at--; // the picture that is shown
    do at += by; while (list[at] && pictured && !list[at].blob);
    this.pause(list[at]?.t);
  }

  /** The moment to be shown at `now`, ms of media time; null: there is none. */
  at(now) {
    if (this.mode === "live") {
      const t = this.clock.at(now);
      if (t !== null) this.t = t;
      return t === null ? null : this.t;
    }
    if (this.mode === "again") {
      this.t += this.asked === null ? 0 : (now - this.asked) * this.speed;
      this.asked = now;
      if (this.dive && this.t > this.to) this.t = this.from;
      if (!this.dive && this.store.last && this.t >= this.store.last.t) this.live();
    }
    if (this.frames === this.store && this.store.first) this.t = Math.max(this.t, this.store.first.t);
    return this.t;
  }
}
