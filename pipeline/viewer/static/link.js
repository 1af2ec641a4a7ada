// The WebSocket to posecast. It comes back by itself when posecast was started again or the network was away.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 4000;
const SILENCE_MS = 8000; // heartbeats come twice a second

export class Link {
  /** `on` has hello, pose, event, dive, health (a message each), picture(head, blob), which may return a promise, and state(connected). */
  constructor(on) {
    this.on = on;
    this.stream = "";
    this.wait = FIRST_WAIT_MS;
    this.heard = 0;
    setInterval(() => this.#lookAfter(), 1000);
    this.#open();
  }

  /** Look at another camera. */
  choose(stream) {
    this.stream = stream;
    this.wait = 0;
    this.socket.close();
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?stream=${encodeURIComponent(this.stream)}`);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#take(data));
    socket.addEventListener("close", () => {
      if (socket !== this.socket) return;
      this.on.state(false);
      setTimeout(() => this.#open(), this.wait);
      this.wait = Math.min(LONGEST_WAIT_MS, 2 * this.wait || FIRST_WAIT_MS);
    });
    this.socket = socket;
    this.heard = performance.now();
  }

  #take(data) {
    this.heard = performance.now();
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "hello") {
        this.wait = FIRST_WAIT_MS;
        this.on.state(true);
      }
      this.on[message.type]?.(message);
      return;
    }
    const size = new DataView(data).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
    const taken = this.on.picture(head, new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" }));
    // posecast sends no more than a few pictures that were not confirmed: a slow line, or a slow computer, gets fewer
    // of them, not later ones.
    const { socket } = this;
    Promise.resolve(taken).then(() => socket.readyState === WebSocket.OPEN && socket.send("seen"));
  }

  /** A connection that says nothing is none, whatever the network believes. */
  #lookAfter() {
    if (this.socket.readyState === WebSocket.OPEN && performance.now() - this.heard > SILENCE_MS) this.socket.close();
  }
}
