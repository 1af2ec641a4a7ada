// Where drawing in space is slow, a computer without a graphics processor, it is done less often: the picture comes first.

const SLOW_MS = 30;
const QUICK_MS = 19;
const EVERY = 20; // frames between two looks at how it goes
const LONGEST_MS = 100; // space is never further behind the picture
const MOST_LEFT_OUT = 9;

export class Pace {
  constructor() {
    Object.assign(this, { leftOut: 0, count: 0, since: null, drawn: 0 });
  }

  /** Whether the frame at `now`, ms, is one in which space is drawn; asked once a frame. */
  allows(now) {
    this.since ??= now;
    this.count++;
    if (this.count % EVERY === 0) {
      const took = (now - this.since) / EVERY;
      this.since = now;
      if (took > SLOW_MS) this.leftOut = Math.min(MOST_LEFT_OUT, this.leftOut + 2);
      else if (took < QUICK_MS) this.leftOut = Math.max(0, this.leftOut - 1);
    }
    if (this.count % (this.leftOut + 1) && now - this.drawn < LONGEST_MS) return false;
    this.drawn = now;
    return true;
  }
}
