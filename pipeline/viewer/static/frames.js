// Frames in order of time: what is shown of a moment is looked up here. Nothing in it grows without bound.

const RANK = { provisional: 0, refined: 1, final: 2 };
const HOLD_MS = 300; // a pose is shown so long when none follows it
const GAP_MS = 250; // over a longer gap is not interpolated
const SPEED_OVER_MS = 200;
const REFINED_AFTER_MS = 700;
const FASTEST_M_S = 18; // who falls from ten metres enters the water with 14
const MOST_BYTES = 120e6;
const MOST_FRAMES = 20000;

/** Frames {seq, t, pose, blob}, `t` in ms of media time, pose and blob null where there is none. */
export class Frames {
  constructor(list = []) {
    this.list = list;
  }

  get first() { return this.list[0] ?? null; }
  get last() { return this.list.at(-1) ?? null; }

  /** Index of the last frame that is not later than `t`; -1: none. */
  at(t) {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].t <= t) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The pose at `t`: joints and centre between those of the frames around it; null where nobody is. */
  poseAt(t) {
    let i = this.at(t);
    while (i >= 0 && !this.list[i].pose && t - this.list[i].t < GAP_MS) i--;
    const before = this.list[i]?.pose;
    if (!before?.tracked || !before.mm || t - before.t_ms > HOLD_MS) return null;
    let j = i + 1;
    while (j < this.list.length && !this.list[j].pose && this.list[j].t - before.t_ms < GAP_MS) j++;
    const after = this.list[j]?.pose;
    const between = after?.mm && after.subject === before.subject && after.t_ms - before.t_ms < GAP_MS;
    const part = between ? (t - before.t_ms) / (after.t_ms - before.t_ms) : 0;
    const mixed = (a, b) => (between ? a.map((value, k) => value + part * (b[k] - value)) : a);
    return { pose: before, mm: mixed(before.mm, after?.mm), centre: mixed(before.centre_mm, after?.centre_mm) };
  }

  /**
   * Velocity of the centre of gravity at `t`, or a little before, m/s, [x, y, z]; null where it is not known. Provisional
   * poses are each placed anew and tell nothing of it.
   */
  velocityAt(t) {
    const half = SPEED_OVER_MS / 2;
    const known = this.wayTo(t + half, half + REFINED_AFTER_MS).filter(({ revision }) => revision !== "provisional");
    const last = known.at(-1)?.t_ms ?? 0;
    const poses = known.filter(({ t_ms }) => t_ms >= last - SPEED_OVER_MS);
    const [a, b] = [poses[0], poses.at(-1)];
    if (!a || b.t_ms - a.t_ms < SPEED_OVER_MS / 3) return null;
    return a.centre_mm.map((value, k) => (b.centre_mm[k] - value) / (b.t_ms - a.t_ms));
  }

  /** Poses of one athlete without a gap, the last not later than `t`, the first not more than `over` ms before it. */
  wayTo(t, over) {
    const way = [];
    for (let i = this.at(t); i >= 0 && this.list[i].t >= t - over; i--) {
      const { pose } = this.list[i];
      if (!pose) continue;
      const next = way.at(-1);
      if (!pose.tracked || !pose.centre_mm || (next && torn(pose, next))) {
        if (way.length || t - pose.t_ms > HOLD_MS) break;
        continue;
      }
      way.push(pose);
    }
    return way.reverse();
  }
}

/** Whether two poses do not belong to one movement. */
function torn(a, b) {
  const dt = b.t_ms - a.t_ms;
  const moved = Math.hypot(...a.centre_mm.map((value, k) => b.centre_mm[k] - value));
  return a.subject !== b.subject || dt > GAP_MS || moved > FASTEST_M_S * dt + 300;
}

/** What came over the link, of the last `keepMs`. */
export class Store extends Frames {
  constructor(keepMs) {
    super();
    this.keepMs = keepMs;
    this.clear();
  }

  clear() {
    this.list = [];
    this.known = new Map();
    this.bytes = 0;
  }

  /** The latest revision of a frame is the one that is kept. */
  addPose(pose) {
    const frame = this.#frame(pose.seq, pose.t_ms);
    if (frame && (!frame.pose || RANK[pose.revision] >= RANK[frame.pose.revision])) frame.pose = pose;
    return frame;
  }

  addPicture(head, blob) {
    const frame = this.#frame(head.seq, head.t_ms);
    if (!frame) return null;
    Object.assign(frame, { blob, head });
    this.bytes += blob.size;
    this.#forget();
    return frame;
  }

  #frame(seq, t) {
    const known = this.known.get(seq);
    if (known) return known;
    if (this.first && seq < this.first.seq) return null;
    const frame = { seq, t, pose: null, blob: null, head: null };
    let place = this.list.length;
    while (place && this.list[place - 1].seq > seq) place--;
    this.list.splice(place, 0, frame);
    this.known.set(seq, frame);
    this.#forget();
    return frame;
  }

  #forget() {
    const oldest = this.last ? this.last.t - this.keepMs : 0;
    let count = 0;
    while (
      count < this.list.length - 1 &&
      (this.list[count].t < oldest || this.bytes > MOST_BYTES || this.list.length - count > MOST_FRAMES)
    ) {
      this.bytes -= this.list[count].blob?.size ?? 0;
      this.known.delete(this.list[count].seq);
      count++;
    }
    if (count) this.list.splice(0, count);
  }
}
