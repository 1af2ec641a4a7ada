"""Files that are whole or absent: written beside their name and renamed at the end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import OutputError


def part_of(path: Path) -> Path:
    """Where a file is written until it is complete."""
    return path.with_name(path.name + ".part")


def refuse(path: Path, error: OSError) -> OutputError:
    """The one line a person sees when `path` cannot be written."""
    reason = error.strerror or str(error)
    return OutputError(
        f"{path}: cannot be written ({reason}); check permissions and free space, or choose another --out"
    )


def make_folder(folder: Path) -> None:
    """Create a folder for results. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refuse(folder, error) from error


def finish(path: Path) -> None:
    """Give the completed part of `path` its name. Raises OutputError."""
    part = part_of(path)
    try:
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        raise refuse(path, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to; it gets the name `path` if the block succeeds, and is removed if not.

    Raises OutputError when the disk or the permissions refuse, or where `path` cannot be a file.
    """
    part = part_of(path)
    try:
        yield part
        finish(path)
    except BaseException as error:
        with suppress(OSError):  # a folder that is not there has no part either
            part.unlink()
        if isinstance(error, OSError):
            raise refuse(path, error) from error
        raise
