"""Shards: tar files of samples (`KEY.jpg` beside `KEY.msgpack`, as webdataset has it), written whole or not at all.

Keys are `sSEED-gGROUP-NN`. Samples of one group share a body and their poses in pairs, so the split into training and
validation goes by group.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgpack

from training.errors import TrainingError

Label = TypeVar("Label")

VALIDATION_BELOW = 26
"""Groups whose hash starts with a byte below this (about 10 %) are for validation."""


class ShardError(TrainingError):
    """A shard cannot be read."""


def is_validation(key: str) -> bool:
    """Whether the sample of this key belongs to the validation split (first byte of the group's SHA-256 < 26)."""
    group = key.rpartition("-")[0] or key
    return hashlib.sha256(group.encode()).digest()[0] < VALIDATION_BELOW


def write_shard(path: Path, samples: Iterable[tuple[str, bytes, dict[str, Any]]]) -> int:
    """Write (key, jpg, label) samples to `path`, beside it first and renamed when complete; returns their number.

    The bytes depend on the samples alone: no times, users or modes of this machine enter the tar.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.part")  # two runs into one folder must not share a file
    count = 0
    try:
        with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as tar:
            for key, picture, label in samples:
                _add(tar, f"{key}.jpg", picture)
                _add(tar, f"{key}.msgpack", msgpack.packb(label))
                count += 1
        beside.replace(path)
    finally:  # an error or Ctrl-C on the way leaves nothing
        beside.unlink(missing_ok=True)
    return count


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def read_shard(path: Path) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """The samples of one shard in their order: key, bytes of the jpg, label.

    Raises ShardError when the file is not a whole shard.
    """
    with _opened(path) as tar:
        for key, picture, label in _pairs(tar):
            yield key, _content(tar, picture), _label(tar, label)


class ShardIndex(Generic[Label]):
    """The samples of one split of several shards: `labels` in memory, each picture read from its place when wanted.

    `wanted` makes of a stored label what is to be kept of it. Raises ShardError when a file is not a whole shard, or
    when `wanted` finds a label without what it needs (LookupError, TypeError or ValueError).
    """

    def __init__(self, files: Iterable[Path], validation: bool, wanted: Callable[[dict[str, Any]], Label]) -> None:
        self.labels: list[Label] = []
        self._places: list[tuple[Path, int, int]] = []  # file, first byte and number of bytes of the jpg
        for path in files:
            with _opened(path) as tar:
                for key, picture, label in _pairs(tar):
                    if is_validation(key) is validation:
                        self.labels.append(wanted(_label(tar, label)))
                        self._places.append((path, picture.offset_data, picture.size))

    def __len__(self) -> int:
        return len(self._places)

    def jpeg(self, index: int) -> bytes:
        """Bytes of one picture."""
        path, start, size = self._places[index]
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise ShardError(f"{path}: cannot be read ({error.strerror}); shards in use must stay") from None


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except (tarfile.TarError, OSError, LookupError, TypeError, ValueError) as error:
        reason = f"no {error} in a label" if isinstance(error, KeyError) else str(error)
        raise ShardError(f"{path}: not a whole shard ({reason}); delete it and make it again") from None


def _pairs(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarInfo]]:
    """Key, and the entries of picture and label, of every sample."""
    before: tuple[str, tarfile.TarInfo] | None = None
    for entry in tar:
        key, _, kind = entry.name.rpartition(".")
        if kind == "jpg":
            before = key, entry
        elif kind == "msgpack" and before is not None and before[0] == key:
            yield key, before[1], entry


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    if file is None:
        raise ValueError(f"{entry.name} is no file")
    return file.read()


def _label(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> dict[str, Any]:
    label = msgpack.unpackb(_content(tar, entry))
    if not isinstance(label, dict):
        raise ValueError(f"{entry.name} is no table")
    return label
