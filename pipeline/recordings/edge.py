"""The edge `record`: every public message of a run into MCAP files, a new one when the last is large or old enough."""

import time
from pathlib import Path
from typing import Final

from pipeline.edge import EdgeHost
from pipeline.messages import Hello, Public
from pipeline.packets import Packet, Taped
from pipeline.recordings.about import About
from pipeline.recordings.folder import checked, new_path
from pipeline.recordings.writer import RecordingFile

_MINUTE_S: Final = 60.0
_MB: Final = 1_000_000
_LONGEST_KEPT: Final = 2_000
"""Packets and frames of a stream that are kept in memory since its last key packet."""


def build(host: EdgeHost) -> "Record":
    """The edge, with its first file open."""
    return Record(host)


class Record:
    """Writes what is published; each file is complete in itself: about, hello, messages."""

    def __init__(self, host: EdgeHost) -> None:
        settings = host.config.record
        self._folder = checked(Path(settings.folder))
        self._longest_s = settings.file_minutes * _MINUTE_S
        self._largest = settings.file_mb * _MB
        self._about = About.of(host.config, host.streams)
        self._hello: Hello | None = None
        self._next: int | None = None
        self._next_taped: int | None = None
        self._since_key: dict[str, list[tuple[Taped, int]]] = {}
        self._files = 0
        self._lost = 0
        self._file = self._open()

    @property
    def note(self) -> str:
        """The file and how much it holds."""
        lost = f", {self._lost} messages lost" if self._lost else ""
        return f"{self._file.path.name}, {self._file.size / _MB:.1f} MB{lost}"

    def _open(self) -> RecordingFile:
        self._files += 1
        return RecordingFile(new_path(self._folder), self._about, self._files)

    def take(self, message: Public, number: int) -> None:
        """Record it; what is missing before it is written down."""
        lost = number - self._next if self._next is not None else 0
        if lost > 0:
            self._lost += lost
            self._file.lose(lost)
        self._next = number + 1
        if isinstance(message, Hello):
            self._hello = message
        self._file.add(message, number)
        self._rotate_if_due()

    def tape(self, taped: Taped, number: int) -> None:
        """Record a packet or a frame."""
        lost = number - self._next_taped if self._next_taped is not None else 0
        if lost > 0:
            self._lost += lost
            self._file.lose(lost, "packets")
        self._next_taped = number + 1
        kept = self._since_key.setdefault(taped.stream, [])
        if (isinstance(taped, Packet) and taped.key) or len(kept) >= _LONGEST_KEPT:
            kept.clear()
        kept.append((taped, number))
        self._file.tape(taped, number)
        self._rotate_if_due()

    def _rotate_if_due(self) -> None:
        if self._file.size >= self._largest or time.monotonic() - self._file.began >= self._longest_s:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close("rotated")
        self._file = self._open()
        if self._hello is not None:
            self._file.add(self._hello, 0)
        for kept in self._since_key.values():  # from the last key packet on, so that the file can be decoded at once
            for taped, number in kept:
                self._file.tape(taped, number)

    def idle(self) -> None:
        """Twice a second what has come is made safe."""
        self._file.flush()

    def close(self) -> None:
        """The run is over."""
        self._file.close("end of the run")
