"""How fast synthetic crops and scenes are rendered: by the clock, and by the processors' own time.

    python benchmarks/rendering.py [--seconds N] [--workers N] [--mocap DIR] [--hdri DIR] [--textures DIR] [--json FILE]

Prints a row of Markdown for each kind. Samples a second by the clock only mean something on a quiet machine; those per
second of processor time hold on a busy one too. Both leave out the start: reading sources, making the body and the
first group of each worker. The samples are those of `posecast synth`, made and then thrown away.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from training.synth import generate  # noqa: E402

KINDS: tuple[generate.Kind, ...] = ("crops", "scenes")
HEAD = "| rendering | samples | workers | samples/s | samples per CPU-second |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Speed:
    """What was rendered of one kind, and the time it took by the clock and of all processors."""

    kind: str
    workers: int
    samples: int
    wall_s: float
    cpu_s: float
    per_s: float
    per_cpu_s: float
    load_before: float

    @property
    def row(self) -> str:
        """A row of the table."""
        return f"| {self.kind} | {self.samples} | {self.workers} | {self.per_s:.1f} | {self.per_cpu_s:.1f} |"


def main() -> None:
    options = _options()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): only the last column means something", file=sys.stderr)
    print(HEAD)
    speeds = []
    for kind in KINDS:
        speeds.append(_measured(kind, options, load))
        print(speeds[-1].row, flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(speed) for speed in speeds], indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast synthetic crops and scenes are rendered.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each kind is rendered at least")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, default=1, help="as of posecast synth")
    for name in ("mocap", "hdri", "textures"):
        parser.add_argument(f"--{name}", type=Path, help="folder, as of posecast synth")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def _measured(kind: generate.Kind, options: argparse.Namespace, load: float) -> Speed:
    job = generate.Job(kind, options.seed, 0, Path(), options.mocap, options.hdri, options.textures)
    generate.one_thread()
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(options.workers)
    with ProcessPoolExecutor(options.workers, context, _wait_for, (begin,)) as pool:
        firsts = range(options.workers)
        works = [pool.submit(_render, job, first, options.workers, options.seconds) for first in firsts]
        parts = [work.result() for work in works]
    samples = sum(count for count, _, _ in parts)
    # Workers end one group apart at most, so their rates may be added.
    per_s, cpu_s = sum(count / wall for count, wall, _ in parts), sum(cpu for _, _, cpu in parts)
    wall_s = max(wall for _, wall, _ in parts)
    return Speed(kind, options.workers, samples, wall_s, cpu_s, per_s, samples / cpu_s, load)


_begin: Barrier
"""Where the workers wait for each other, set in each of them."""


def _wait_for(begin: Barrier) -> None:
    global _begin
    _begin = begin


def _render(job: generate.Job, first: int, step: int, seconds: float) -> tuple[int, float, float]:
    """Every `step`th group from the `first`: samples, seconds by the clock, seconds of processor time."""
    generate.use_one_thread()
    sources, count = job.sources, 0
    generate.make_group(job.kind, job.seed, first, sources)
    _begin.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        first += step
        count += len(generate.make_group(job.kind, job.seed, first, sources))
    return count, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
