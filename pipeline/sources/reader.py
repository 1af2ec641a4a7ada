"""One connection to a live source, read in a thread of its own that may be left behind.

FFmpeg's calls block, looking up a name even without a time-out, and nothing interrupts them. So nobody waits for them:
who has had enough leaves, and the thread closes what it has opened when it comes back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pipeline.errors import Cause, SourceError
from pipeline.picture import Picture, from_av, rotation_of
from pipeline.sources.opened import Opened
from pipeline.sources.source import SourceInfo, Stop

_AHEAD: Final = 2
_TURN_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Connected:
    """The source answers and has pictures."""

    info: SourceInfo
    codec: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture, when its source shows it by its own clock, and when it left the decoder (monotonic, UNIX); `missed`
    pictures before it were superseded."""

    picture: Picture
    presentation_ns: int | None
    arrived_ns: int
    t_capture_ns: int
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """The connection failed or broke off, or the source had an end: then `cause` is None."""

    cause: Cause | None
    line: str


Item = Connected | Shown | Over


class Reader:
    """Reads ahead by two pictures. `newest`: then the oldest gives way, else the source waits."""

    def __init__(self, open_: Callable[[Stop], Opened], newest: bool) -> None:
        self._open, self._newest = open_, newest
        self._ready = threading.Condition()
        self._items: deque[Item] = deque()
        self._left = False
        self._opened: Opened | None = None
        self.superseded = self._told_superseded = 0
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Item | None:
        """What comes next; None if nothing came in time."""
        with self._ready:
            if not self._items:
                self._ready.wait(timeout_s)
            item = self._items.popleft() if self._items else None
            if isinstance(item, Shown):  # what gave way was older than whatever is left
                item = replace(item, missed=self.superseded - self._told_superseded)
                self._told_superseded = self.superseded
            self._ready.notify_all()
            return item

    def leave(self) -> None:
        """Nobody takes anything any more. Returns at once."""
        with self._ready:
            self._left = True
            self._items.clear()
            self._ready.notify_all()

    @property
    def alive(self) -> bool:
        """Whether its thread has not come back yet."""
        return self._thread.is_alive()

    @property
    def packets(self) -> int:
        """How many packets have come since the first picture could be decoded."""
        return 0 if self._opened is None else self._opened.packets

    @property
    def damaged(self) -> int:
        """Packets that could not be decoded, and pictures that could only in part."""
        return 0 if self._opened is None else self._opened.damaged + self._opened.corrupt

    @property
    def missing(self) -> int:
        """See `Opened`."""
        return 0 if self._opened is None else self._opened.missing

    @property
    def clock_ahead_ns(self) -> int | None:
        """See `Opened`; of the newest packet."""
        return None if self._opened is None else self._opened.clock_ahead_ns

    def _run(self) -> None:
        try:
            self._read()
        except SourceError as error:
            self._put(Over(error.cause, str(error)))
        except Exception as error:  # its text may hold the address
            self._put(Over("other", f"reading failed ({type(error).__name__})"))

    def _read(self) -> None:
        opened = self._open(lambda: self._left)
        try:
            self._opened = opened
            info = opened.info
            self._put(Connected(info, opened.codec))
            while not self._left and (frame := opened.next()) is not None:
                picture = from_av(frame, rotation_of(frame.rotation))
                self._put(Shown(picture, opened.presentation_ns(frame), time.monotonic_ns(), time.time_ns()))
            ended = not opened.live
            line = "its end" if ended else f"{opened.name}: {_WORDS.get(opened.cause, _WORDS['broken_off'])}"
            self._put(Over(None if ended else opened.cause, line))
        finally:
            opened.close()

    def _put(self, item: Item) -> None:
        with self._ready:
            while isinstance(item, Shown) and len(self._items) >= _AHEAD and not self._left:
                if not self._newest:
                    self._ready.wait(_TURN_S)
                elif not self._supersede():
                    break
            if not self._left:
                self._items.append(item)
                self._ready.notify_all()

    def _supersede(self) -> bool:
        oldest = next((item for item in self._items if isinstance(item, Shown)), None)
        if oldest is not None:
            self._items.remove(oldest)
            self.superseded += 1
        return oldest is not None


_WORDS: Final[dict[Cause, str]] = {
    "silent": "the camera fell silent; check camera and network",
    "broken_off": "the connection broke off; check camera and network",
}
