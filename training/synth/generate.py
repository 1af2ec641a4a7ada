"""Jobs of rendering: which samples go into which shard, in one process or several, going on where a run stopped.

Every sample depends on (kind, seed, group, place in the group) and the sources alone.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np

from training.synth import athletes, crops, wide
from training.synth.crops import Sample
from training.synth.shards import write_shard

Kind = Literal["crops", "scenes"]

PER_SHARD: Final = 1000
PER_GROUP: Final = crops.POSES * crops.VIEWS
SHOWCASE_SEED: Final = 7001
"""Seed of the dive shown with the program; refused for training so that the shown dive was never trained on."""

_KIND_NUMBER: Final = {"crops": 1, "scenes": 2}


class SeedError(ValueError):
    """The seed is reserved."""


@dataclass(frozen=True)
class Job:
    """What to render: `kind`, `seed`, how many samples, where, and folders of motion capture, panoramas and cloth."""

    kind: Kind
    seed: int
    count: int
    out: Path
    mocap: Path | None = None
    hdri: Path | None = None
    textures: Path | None = None

    def __post_init__(self) -> None:
        if self.seed == SHOWCASE_SEED:
            raise SeedError(f"seed {self.seed}: reserved for the sample dive; choose another")

    @property
    def shards(self) -> int:
        """Number of shards, the last one possibly short."""
        return -(-self.count // PER_SHARD)

    def path(self, shard: int) -> Path:
        """Where shard number `shard` lies."""
        return self.out / f"{self.kind}-s{self.seed}-{shard:05d}.tar"

    @property
    def sources(self) -> athletes.Sources:
        """What the folders hold, read once a process."""
        return athletes.read_sources(self.mocap, self.hdri, self.textures)


def make_group(kind: Kind, seed: int, group: int, sources: athletes.Sources = athletes.NO_SOURCES) -> list[Sample]:
    """The ten samples of one group."""
    rng = np.random.default_rng([_KIND_NUMBER[kind], seed, group])
    return (crops if kind == "crops" else wide).make(rng, seed, group, sources)


def samples(job: Job, shard: int) -> Iterator[Sample]:
    """The samples of one shard of `job`."""
    start, stop = shard * PER_SHARD, min((shard + 1) * PER_SHARD, job.count)
    sources = job.sources
    for group in range(start // PER_GROUP, -(-stop // PER_GROUP)):
        yield from make_group(job.kind, job.seed, group, sources)[: stop - group * PER_GROUP]


_count: Any = None
"""The pool's shared counter of finished samples, set in each worker."""


def _start_worker(counter: Any) -> None:
    global _count
    _count = counter
    cv2.setNumThreads(1)
    import torch

    torch.set_num_threads(1)


def _add_to_counter() -> None:
    with _count.get_lock():
        _count.value += 1


def _render_shard(job: Job, shard: int, done: Callable[[], None] = _add_to_counter) -> int:
    def counted() -> Iterator[Sample]:
        for sample in samples(job, shard):
            done()
            yield sample

    return write_shard(job.path(shard), counted())


def run(job: Job, workers: int, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
    """Render what is missing of `job`; returns (shards kept, shards rendered).

    One worker renders in this process, several in processes of their own. `progress` is told the number of samples
    finished, kept ones included.
    """
    missing = [shard for shard in range(job.shards) if not job.path(shard).exists()]
    finished = sum(min(PER_SHARD, job.count - s * PER_SHARD) for s in range(job.shards) if s not in missing)
    # One thread a process: the processes are the parallelism.
    for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if workers > 1 and len(missing) > 1:
        _run_pool(job, missing, min(workers, len(missing)), lambda more: progress(finished + more))
        return job.shards - len(missing), len(missing)
    counter = itertools.count(finished + 1)
    for shard in missing:
        _render_shard(job, shard, lambda: progress(next(counter)))
    return job.shards - len(missing), len(missing)


def _run_pool(job: Job, missing: list[int], workers: int, progress: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with context.Pool(workers, _start_worker, (counter,)) as pool:
        tasks = [pool.apply_async(_render_shard, (job, shard)) for shard in missing]
        for task in tasks:
            while True:
                try:
                    task.get(0.5)
                    break
                except multiprocessing.TimeoutError:
                    progress(counter.value)
    progress(counter.value)
