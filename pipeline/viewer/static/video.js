// The picture with its skeleton. Both are of the same frame, always: a picture waits for its pose, never the reverse.

import { drawSkeleton } from "./skeleton.js";

const DECODED = 16; // pictures that are kept decoded, 2 MB each
const AHEAD = 4;

export class Video {
  /** `ready` is called with a frame whose picture has been decoded. */
  constructor(canvas, ready) {
    this.ready = ready;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.body = null;
    this.decoded = new Map(); // frame -> ImageBitmap, or null while it is being decoded
    this.drawn = null;
    /** What is on the canvas: number of the frame, its joints in pixels of the canvas, scale of the picture. */
    canvas.shown = null;
    new ResizeObserver(() => this.#fit()).observe(canvas);
  }

  /** Decode a frame's picture, so that it is there when its time comes; a promise of that. */
  prepare(frame) {
    if (!frame?.blob || this.decoded.has(frame)) return null;
    this.decoded.set(frame, null);
    const done = createImageBitmap(frame.blob).then(
      (bitmap) => {
        if (!this.decoded.has(frame)) return bitmap.close();
        this.decoded.set(frame, bitmap);
        return this.ready(frame);
      },
      () => this.decoded.delete(frame),
    );
    for (const old of this.decoded.keys()) {
      if (this.decoded.size <= DECODED) break;
      if (old === this.drawn?.frame) continue;
      this.decoded.get(old)?.close();
      this.decoded.delete(old);
    }
    return done;
  }

  /** Show the newest picture that is not later than `t`; returns its frame, null where there is none. */
  show(frames, t, live) {
    let i = frames.at(t);
    if (!live) for (let ahead = i + AHEAD; ahead >= i; ahead--) this.prepare(frames.list[Math.max(0, ahead)]);
    while (i >= 0 && !this.decoded.get(frames.list[i]) && t - frames.list[i].t < 1000) i--;
    const frame = frames.list[i];
    const bitmap = frame && this.decoded.get(frame);
    if (!bitmap) return this.drawn?.frame ?? null;
    if (this.drawn?.frame !== frame || this.drawn.pose !== frame.pose || this.drawn.stale) this.#draw(frame, bitmap);
    return frame;
  }

  /** Nothing is to be seen: a dive whose pictures are gone, or another run. */
  clear() {
    this.drawn = null;
    this.canvas.shown = null;
    this.context.fillStyle = "#05090d";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  #draw(frame, bitmap) {
    const { width, height } = this.canvas;
    const full = frame.head;
    this.#shape(full.width / full.height);
    const scale = Math.min(width / full.width, height / full.height);
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(bitmap, 0, 0, full.width * scale, full.height * scale);
    const joints =
      this.body && frame.pose?.tracked && frame.pose.px ? drawSkeleton(this.context, this.body, frame.pose, scale) : [];
    this.drawn = { frame, pose: frame.pose, stale: false };
    this.canvas.shown = { seq: frame.seq, t: frame.t, scale, joints, captured: full.t_capture_ms };
  }

  /** The place of the picture takes the picture's shape. */
  #shape(ratio) {
    if (ratio === this.ratio) return;
    this.ratio = ratio;
    this.canvas.parentElement.style.aspectRatio = ratio;
  }

  #fit() {
    const { clientWidth, clientHeight } = this.canvas;
    const dense = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.max(1, Math.round(clientWidth * dense));
    this.canvas.height = Math.max(1, Math.round(clientHeight * dense));
    if (this.drawn) this.drawn.stale = true;
  }
}
