"""Jobs of rendering: which samples go into which shard, in one process or several, going on where a run stopped.

Every sample depends on (kind, seed, group, place in the group) and the sources alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import psutil

from training import workers as processes
from training.errors import TrainingError
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
    """What to render: `kind`, `seed`, how many samples, where, and folders of motion capture, panoramas and cloth.

    `per_shard`, a multiple of ten, go into one file.
    """

    kind: Kind
    seed: int
    count: int
    out: Path
    mocap: Path | None = None
    hdri: Path | None = None
    textures: Path | None = None
    per_shard: int = PER_SHARD

    def __post_init__(self) -> None:
        if self.seed == SHOWCASE_SEED:
            raise SeedError(f"seed {self.seed}: reserved for the sample dive; choose another")

    @property
    def shards(self) -> int:
        """Number of shards, the last one possibly short."""
        return -(-self.count // self.per_shard)

    def size(self, shard: int) -> int:
        """Number of samples in shard number `shard`."""
        return min(self.per_shard, self.count - shard * self.per_shard)

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
    start = shard * job.per_shard
    stop = start + job.size(shard)
    sources = job.sources
    for group in range(start // PER_GROUP, -(-stop // PER_GROUP)):
        yield from make_group(job.kind, job.seed, group, sources)[: stop - group * PER_GROUP]


def run(
    job: Job,
    workers: int,
    progress: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[int, int]:
    """Render what is missing of `job`; returns (shards kept, shards rendered).

    Workers are processes of their own, a single one too: in this process numpy may already use several threads, whose
    sums differ in the last digit. What one that dies was rendering is rendered again by a fresh one. `progress` is told
    the number of samples finished, kept ones included; `say` one line for every death. Raises TrainingError when a
    shard's processes die again and again.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in range(job.shards) if not job.path(shard).exists()]
    finished = job.count - sum(job.size(shard) for shard in missing)
    one_thread()
    try:
        _sweep(job, missing)
        if missing:
            _run_workers(job, missing, workers, lambda more: progress(finished + more), say)
    finally:
        _sweep(job, missing)
    return job.shards - len(missing), len(missing)


def one_thread() -> None:
    """One thread for each process started from now on: the processes are the parallelism."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def use_one_thread() -> None:
    """One thread for this process, which does nothing else."""
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _render_shard(job: Job, shard: int, done: Callable[[], None]) -> int:
    use_one_thread()

    def counted() -> Iterator[Sample]:
        for sample in samples(job, shard):
            done()
            yield sample

    return write_shard(job.path(shard), counted())


def _run_workers(
    job: Job, missing: list[int], workers: int, progress: Callable[[int], None], say: Callable[[str], None]
) -> None:
    def again(shard: int, cause: str) -> None:
        _sweep(job, [shard])
        say(f"{job.path(shard)}: the process that rendered it died ({cause}); it is rendered again")

    try:
        processes.share(functools.partial(_render_shard, job), missing, workers, progress, again)
    except processes.DiedError as error:
        raise TrainingError(
            f"{job.path(error.number)}: {processes.ATTEMPTS} processes died that rendered it, the last by "
            f"{error.cause}; finished shards are kept: free memory or type fewer --workers, then the same again, "
            f"or choose another --seed"
        ) from None


def _sweep(job: Job, shards: list[int]) -> None:
    """Remove what processes that are gone left of `shards`; those of another run may still be at work."""
    for shard in shards:
        for part in job.out.glob(f"{job.path(shard).stem}.*.part"):
            pid = part.suffixes[-2].removeprefix(".")
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                part.unlink(missing_ok=True)
