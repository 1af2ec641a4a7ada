"""A folder of images as a film, in the natural order of their names (2 before 10)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import av.error

from pipeline.config import Source as Settings
from pipeline.errors import SourceError
from pipeline.picture import Picture, from_av, rotation_of
from pipeline.sources.source import SourceInfo, Stop, never

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class FolderSource:
    """A `Source` of the images in one folder at `folder_rate_hz`; all of one size. Raises SourceError."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings = settings
        self.notes: list[str] = []
        self.reconnects = 0
        self._files = images_in(folder)
        _check_sizes(self._files)
        first = _decoded(self._files[0])
        self._shown_size = (first.width, first.height)
        self.info = SourceInfo(
            name=str(folder),
            width=first.width,
            height=first.height,
            rate_hz=settings.folder_rate_hz,
            rotation_deg=first.rotation_deg,
            live=False,
            frames=len(self._files),
        )

    def pictures(self, start: int = 0, stop: Stop = never, t_first_ns: int = 0) -> Iterator[Picture]:
        """See `Source`."""
        index = start
        while index < len(self._files) and not stop():
            file = self._files[index]
            picture = _decoded(file)
            if (picture.width, picture.height) != self._shown_size:
                raise _mixed(file, (picture.width, picture.height), self._shown_size)
            yield picture.at(round(index * 1e9 / self._settings.folder_rate_hz))
            index += 1

    def close(self) -> None:
        """Nothing is held open between two pictures; what is left is not read."""
        self._files = []


def images_in(folder: Path) -> list[Path]:
    """The images of a folder in natural order. Raises SourceError if there are none."""
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != "."]
    except OSError as error:
        raise SourceError(f"{folder}: the folder cannot be read ({error.strerror}); check its permissions") from error
    if not files:
        raise SourceError(f"{folder}: no images in this folder; it takes {' '.join(sorted(SUFFIXES))}")
    return sorted(files, key=_natural)


def _natural(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name.lower())]


def _check_sizes(files: list[Path]) -> None:
    first = _size_of(files[0])
    for file in files[1:]:
        if (size := _size_of(file)) != first:
            raise _mixed(file, size, first)


def _mixed(file: Path, size: tuple[int, int], first: tuple[int, int]) -> SourceError:
    here, there = (f"{width}x{height}" for width, height in (size, first))
    return SourceError(f"{file}: is {here} but the first image is {there}; keep images of one size in a folder")


def _size_of(file: Path) -> tuple[int, int]:
    """Width and height as stored, from the header alone."""
    try:
        with file.open("rb") as opened:
            head = opened.read(24)
    except OSError as error:
        raise SourceError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    if head.startswith(_PNG) and len(head) == 24:  # FFmpeg would decode the whole of a PNG to say how large it is
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    try:
        with av.open(f"file:{file}", options={"analyzeduration": "0"}) as container:
            context = container.streams.video[0].codec_context
            size = int(context.width), int(context.height)
    except (av.error.FFmpegError, IndexError) as error:
        raise _unreadable(file) from error
    if 0 in size:
        raise _unreadable(file)
    return size


def _decoded(file: Path) -> Picture:
    try:
        with av.open(f"file:{file}") as container:
            frame = next(container.decode(video=0))
    except (av.error.FFmpegError, IndexError, StopIteration) as error:
        raise _unreadable(file) from error
    return from_av(frame, rotation_of(frame.rotation))


def _unreadable(file: Path) -> SourceError:
    return SourceError(f"{file}: not an image that can be read; remove it from the folder or convert it to PNG")
