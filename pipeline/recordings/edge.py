"""The edge `record`: every public message of a run into MCAP files, a new one when the last is large or old enough."""

import time
from collections import deque
from pathlib import Path
from typing import Final

from pipeline.edge import EdgeHost
from pipeline.messages import Hello, PoseFrame, Public
from pipeline.packets import Packet, Taped
from pipeline.recordings.about import About
from pipeline.recordings.folder import checked, new_path
from pipeline.recordings.writer import RecordingFile

_MINUTE_S: Final = 60.0
_MB: Final = 1_000_000
_LONGEST_KEPT: Final = 2_000
"""Packets and frames of a stream that are kept in memory since its last key packet."""
_EARLY: Final = 1_000
"""Heartbeats and events that are kept before the first file is begun."""


def build(host: EdgeHost) -> "Record":
    """The edge, with its first file open."""
    return Record(host)


class Record:
    """Writes what is published; each file is complete in itself: about, hello, messages.

    The first file is begun with the first pose or packet, so that a run that never sees its camera leaves none.
    """

    def __init__(self, host: EdgeHost) -> None:
        settings = host.config.record
        self._folder = checked(Path(settings.folder))
        self._longest_s = settings.file_minutes * _MINUTE_S
        self._largest = settings.file_mb * _MB
        self._about = About.of(host.config, host.streams)
        self._hello: Hello | None = None
        self._next: dict[str, int] = {}
        self._since_key: dict[str, list[tuple[Taped, int]]] = {}
        self._early: deque[tuple[Public, int]] = deque(maxlen=_EARLY)
        self._files = 0
        self._lost = 0
        self._file: RecordingFile | None = None

    @property
    def note(self) -> str:
        """The file and how much it holds."""
        if self._file is None:
            return "nothing to be recorded yet"
        lost = f", {self._lost} messages lost" if self._lost else ""
        return f"{self._file.path.name}, {self._file.size / _MB:.1f} MB{lost}"

    def take(self, message: Public, number: int) -> None:
        """Record it; what is missing before it is written down."""
        if isinstance(message, Hello):
            self._hello = message
        if self._file is None and not isinstance(message, PoseFrame):
            self._early.append((message, number))
            return
        file = self._writable("", number)
        file.add(message, number)

    def tape(self, taped: Taped, number: int) -> None:
        """Record a packet or a frame."""
        kept = self._since_key.setdefault(taped.stream, [])
        if (isinstance(taped, Packet) and taped.key) or len(kept) >= _LONGEST_KEPT:
            kept.clear()
        file = self._writable(taped.stream, number)
        file.tape(taped, number)
        kept.append((taped, number))

    def _writable(self, of: str, number: int) -> RecordingFile:
        """The file for the next message (`of` is empty) or packet of a stream; it knows what is missing before it."""
        file = self._file = self._file_now()
        lost = number - self._next.get(of, number)
        if lost > 0:
            self._lost += lost
            file.lose(lost, "packets" if of else "messages")
        self._next[of] = number + 1
        return file

    def _file_now(self) -> RecordingFile:
        """The open file, or the next one if there is none or the last is full."""
        file = self._file
        if file is None:
            file = self._begun()
            for message, number in self._early:
                file.add(message, number)
                self._next[""] = number + 1
        elif file.size >= self._largest or time.monotonic() - file.began >= self._longest_s:
            file.close("rotated")
            file = self._begun()
            if self._hello is not None:
                file.add(self._hello, 0)
            for kept in self._since_key.values():  # from the last key packet on: the file can be decoded at once
                for taped, number in kept:
                    file.tape(taped, number)
        return file

    def _begun(self) -> RecordingFile:
        self._files += 1
        return RecordingFile(new_path(self._folder), self._about, self._files)

    def idle(self) -> None:
        """Twice a second what has come is made safe."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """The run is over."""
        if self._file is not None:
            self._file.close("end of the run")
