"""From labelled athletes to shards of 1000: finished shards are kept, files verified, several processes if wanted."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from training.convert.crop import Athlete, Sample, sample, usable
from training.convert.frames import Pictures
from training.convert.manifest import Manifest
from training.errors import TrainingError
from training.synth.shards import write_shard

PER_SHARD: Final = 1000


@dataclass(frozen=True)
class DataSet:
    """What a reader found: athletes in a fixed order, frames of one video in rising order; annotation files; settings.

    `folder` holds all files. Equal folders and settings give equal athletes.
    """

    name: str
    folder: Path
    athletes: list[Athlete]
    annotations: list[Path]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shard:
    path: Path
    athletes: list[Athlete]
    manifest: Manifest


def convert(data: DataSet, out: Path, workers: int = 1, progress: Callable[[int], None] = lambda _: None) -> int:
    """Write `data` to `out/NAME-00000.tar` and so on, and the manifest; returns how many athletes the shards hold.

    `progress` is told how many are done, kept ones included. TrainingError when a file is missing, broken or changed.
    """
    athletes = [athlete for athlete in data.athletes if usable(athlete)]
    if not athletes:
        raise TrainingError(f"{data.folder}: no athlete with enough labelled joints; is the data set whole?")
    strange = next((a for a in athletes if a.camera is None and not _finite(a)), None)
    if strange is not None:
        raise TrainingError(f"{data.folder}: joints of {strange.key} are no numbers; restore the annotations")
    manifest = Manifest(out / f"{data.name}.manifest.json", data.folder, data.settings)
    _check_shards(out, data.name, manifest)
    manifest.check_files(data.annotations)
    manifest.check_files(sorted({a.frame.path for a in athletes if a.frame.index is not None}))
    manifest.save()
    chunks = [athletes[start : start + PER_SHARD] for start in range(0, len(athletes), PER_SHARD)]
    shards = [_Shard(out / f"{data.name}-{n:05d}.tar", chunk, manifest) for n, chunk in enumerate(chunks)]
    missing = [shard for shard in shards if not shard.path.exists()]
    done = len(athletes) - sum(len(shard.athletes) for shard in missing)
    progress(done)
    try:
        for shard, sha256 in zip(missing, _made(missing, workers), strict=True):
            for path, digest in sha256.items():
                manifest.check(path, digest)
            manifest.save()
            done += len(shard.athletes)
            progress(done)
    finally:
        if not any(shard.path.exists() for shard in shards):  # nothing that the manifest would be of
            manifest.path.unlink(missing_ok=True)
    return len(athletes)


def _finite(athlete: Athlete) -> bool:
    return bool(np.isfinite(athlete.joints_img_px[athlete.labelled]).all())


def _check_shards(out: Path, name: str, manifest: Manifest) -> None:
    """Shards whose manifest is missing may hold other athletes: they are not gone on with."""
    shard = next(out.glob(f"{name}-?????.tar"), None)
    if shard is not None and not manifest.path.exists():
        raise TrainingError(
            f"{shard}: nothing tells what it was made from ({manifest.path.name} is missing); delete the {name} shards "
            f"or choose another --out"
        )


def _made(shards: list[_Shard], workers: int) -> Iterator[dict[Path, str]]:
    if workers <= 1 or len(shards) <= 1:
        yield from map(_write, shards)
        return
    pids: list[int | None] = []
    try:
        with multiprocessing.get_context("spawn").Pool(min(workers, len(shards)), _start_worker) as pool:
            pids = [child.pid for child in multiprocessing.active_children()]
            yield from pool.imap(_write, shards)
    finally:  # an error or Ctrl-C ends the processes in the middle of a shard
        for shard in shards:
            for pid in pids:
                shard.path.with_suffix(f".{pid}.part").unlink(missing_ok=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    cv2.setNumThreads(1)


def _write(shard: _Shard) -> dict[Path, str]:
    """Write one shard; returns the checksums of the image files read."""
    pictures = Pictures()
    write_shard(shard.path, _samples(shard, pictures))
    return pictures.sha256


def _samples(shard: _Shard, pictures: Pictures) -> Iterator[Sample]:
    for athlete in shard.athletes:
        picture = pictures.read(athlete.frame)
        if athlete.frame.index is None:
            shard.manifest.check(athlete.frame.path, pictures.sha256[athlete.frame.path])
        yield sample(athlete, picture)
