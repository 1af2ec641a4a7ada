"""Shards: tar files of samples (`KEY.jpg` beside `KEY.msgpack`, as webdataset has it), written whole or not at all.

Keys are `sSEED-gGROUP-NN`. Samples of one group share a body and their poses in pairs, so the split into training and
validation goes by group.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack

VALIDATION_BELOW = 26
"""Groups whose hash starts with a byte below this (about 10 %) are for validation."""


class ShardError(RuntimeError):
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
    with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, picture, label in samples:
            _add(tar, f"{key}.jpg", picture)
            _add(tar, f"{key}.msgpack", msgpack.packb(label))
            count += 1
    beside.replace(path)
    return count


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def read_shard(path: Path) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """The samples of one shard in their order: key, bytes of the jpg, label.

    Raises ShardError when the file is not a whole shard.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            picture: tuple[str, bytes] | None = None
            for entry in tar:
                data = tar.extractfile(entry)
                if data is None:
                    continue
                key, _, kind = entry.name.rpartition(".")
                if kind == "jpg":
                    picture = key, data.read()
                elif kind == "msgpack" and picture is not None and picture[0] == key:
                    yield key, picture[1], msgpack.unpackb(data.read())
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ShardError(f"{path}: not a whole shard ({error}); delete it and render it again") from error
