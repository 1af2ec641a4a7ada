"""What a frame costs the processor before any network looks at it: the least that the rest of the chain can cost.

    python benchmarks/floor.py [--clip VIDEO] [--json FILE] [--markdown FILE]

Decoding is FFmpeg's alone; a hop is the pipeline's own queue between two processes that do nothing else.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import av
import zmq

# Python puts this file's folder first, where `engines.py` would be taken for the package `engines`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page  # noqa: E402
from engines.contracts import CROP_H, CROP_W  # noqa: E402
from pipeline.bench import described, machine  # noqa: E402
from pipeline.bus import Inbox, Outbox, endpoint  # noqa: E402
from pipeline.config import Config  # noqa: E402
from pipeline.messages import Track  # noqa: E402
from pipeline.picture import from_av  # noqa: E402
from pipeline.replay import SAMPLE  # noqa: E402
from pipeline.ring import Ring, slot_bytes_for  # noqa: E402

ROUNDS: Final = 3
MESSAGES: Final = 300
RATE_HZ: Final = 60.0
SMALL_HOPS: Final = 4
"""Hops without a crop: to track, to decode, to smooth and to publish. The one to encode carries the crop."""
_PATIENCE_S: Final = 30.0


def main() -> None:
    """Measure and write."""
    parser = page.arguments("What a frame costs before any network looks at it.")
    parser.add_argument("--clip", default=str(SAMPLE), help="a video; default: the sample dive")
    options: argparse.Namespace = page.chosen(parser)
    source = described(Config(), options.clip)
    pictures = [_pictures_ms(options.clip) for _ in range(ROUNDS)]
    figures: page.Figures = {
        "machine": machine(),
        "source": source,
        "rounds": ROUNDS,
        "messages": MESSAGES,
        "decode_ms": median(decode for decode, _ in pictures),
        "ring_ms": median(ring for _, ring in pictures),
        "small_hop_ms": median(hop_ms(0) for _ in range(ROUNDS)),
        "crop_hop_ms": median(hop_ms(CROP_W * CROP_H * 3) for _ in range(ROUNDS)),
    }
    page.finish(figures, markdown, options)


def _pictures_ms(clip: str) -> tuple[float, float]:
    """Processor milliseconds a picture: decoding it on one thread, and copying it into a ring."""
    decode_s, ring_s, count = 0.0, 0.0, 0
    with av.open(clip) as container, tempfile.TemporaryDirectory() as folder:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        ring: Ring | None = None
        for packet in container.demux(stream):
            before = time.process_time()
            frames = stream.codec_context.decode(packet)
            decode_s += time.process_time() - before
            for frame in frames:
                picture = from_av(frame)
                ring = ring or Ring.create(
                    Path(folder) / "ring", Config().capture.ring_slots, slot_bytes_for(frame.width, frame.height)
                )
                before = time.process_time()
                ring.write(picture)
                ring_s += time.process_time() - before
                count += 1
        if ring is not None:
            ring.close()
    return 1e3 * decode_s / count, 1e3 * ring_s / count


def hop_ms(crop_bytes: int) -> float:
    """Processor milliseconds of a message from one process to another, both sides together, when they come singly."""
    context = multiprocessing.get_context("spawn")
    spent = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        reader = context.Process(target=_read, args=(folder, spent), daemon=True)
        reader.start()
        spent.get(timeout=_PATIENCE_S)
        ours = _write(folder, crop_bytes)
        theirs: float = spent.get(timeout=_PATIENCE_S)
        reader.join()
    return 1e3 * (ours + theirs) / MESSAGES


def _write(folder: str, crop_bytes: int) -> float:
    """Seconds of processor time that sending takes, without the waking for it: a stage is awake already."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    outbox = Outbox(context, endpoint(Path(folder), "reader"), queue=16, blocking=True)
    # Of the whole process: another thread of it writes to the socket, after `send`.
    idle_s = _spent_s(lambda _: None)
    sending_s = _spent_s(lambda seq: outbox.send(_track(seq, crop_bytes), lambda: True))
    outbox.close()
    context.term()
    return sending_s - idle_s


def _spent_s(turn: Callable[[int], object]) -> float:
    """Processor seconds of so many turns, at the rate of a camera."""
    before = time.process_time()
    for seq in range(MESSAGES):
        turn(seq)
        time.sleep(1 / RATE_HZ)
    return time.process_time() - before


def _read(folder: str, spent: "multiprocessing.Queue[float]") -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    inbox = Inbox(context, endpoint(Path(folder), "reader"), queue=16, newest=False)
    spent.put(0.0)
    inbox.receive(_PATIENCE_S)  # the writer idles first
    before, left = time.process_time(), MESSAGES - 1
    while left:
        left -= len(inbox.receive(0.5))
    spent.put(time.process_time() - before)
    inbox.close()
    context.term()


def _track(seq: int, crop_bytes: int) -> Track:
    return Track(
        stream="main",
        seq=seq,
        t_media_ns=seq,
        t_capture_ns=seq,
        width=1920,
        height=1080,
        rate_hz=RATE_HZ,
        subject=1,
        state="followed",
        presence=0.9,
        box_img_px=(100.0, 100.0, 300.0, 500.0),
        crop=bytes(crop_bytes) if crop_bytes else None,
    )


def markdown(figures: page.Figures) -> str:
    """Section for docs/performance.md."""
    hops = SMALL_HOPS * figures["small_hop_ms"] + figures["crop_hop_ms"]
    rows = [
        ("decoding", figures["decode_ms"]),
        ("copying the picture into the ring", figures["ring_ms"]),
        (f"{SMALL_HOPS} hops of {figures['small_hop_ms']:.2f}", SMALL_HOPS * figures["small_hop_ms"]),
        ("the hop with the crop", figures["crop_hop_ms"]),
        ("all", figures["decode_ms"] + figures["ring_ms"] + hops),
    ]
    samples = (
        f"medians of {figures['rounds']} rounds: all pictures, {figures['messages']} messages at {RATE_HZ:.0f} a second"
    )
    facts = page.facts(figures, figures["source"], samples, "python benchmarks/floor.py --markdown results/floor.md")
    table = page.table(("before any network", "processor ms a frame"), [(what, f"{ms:.2f}") for what, ms in rows])
    return f"{facts}\n{table}"


if __name__ == "__main__":
    page.guarded(main)
