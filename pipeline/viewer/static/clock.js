// What time it is on the page: media time, late by just so much that most frames are there when their time comes.

const OVER_MS = 3000;
const MOST_LATE_MS = 600;
const JUMP_MS = 700;
const ADAPT = 0.06; // ms a ms: the clock goes that much slower or faster until it is right

export class Clock {
  constructor() {
    this.reset();
  }

  reset() {
    this.arrivals = [];
    this.offset = null;
    this.asked = 0;
  }

  /** A frame of media time `t` came at `now`, both ms. */
  arrived(t, now) {
    const newest = this.arrivals.at(-1);
    if (newest && Math.abs(now - t - (newest.now - newest.t)) > 5000) this.reset(); // the source's clock began anew
    this.arrivals.push({ t, now });
    while (this.arrivals[0].now < now - OVER_MS) this.arrivals.shift();
  }

  /** Media time to be shown at `now`; null before the first frame. */
  at(now) {
    if (!this.arrivals.length) return null;
    const aim = this.#aim();
    const step = now - this.asked;
    this.asked = now;
    if (this.offset === null || Math.abs(aim - this.offset) > JUMP_MS) this.offset = aim;
    this.offset += Math.max(-ADAPT * step, Math.min(ADAPT * step, aim - this.offset));
    return now - this.offset;
  }

  /** Delay of three in five frames (the others are shown when they come), and half an interval more for the picture to be decoded. */
  #aim() {
    const delays = this.arrivals.map(({ t, now }) => now - t).sort((a, b) => a - b);
    const most = delays[Math.floor(0.6 * (delays.length - 1))];
    const span = this.arrivals.at(-1).t - this.arrivals[0].t;
    const interval = this.arrivals.length > 1 ? span / (this.arrivals.length - 1) : 33;
    return Math.min(most, delays[0] + MOST_LATE_MS) + Math.min(interval, 50) / 2;
  }
}
