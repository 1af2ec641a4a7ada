"""A live source that cannot wedge: it is asked again and again, and answers at once with what there is.

`States` says what is to be done, a `Reader` does it in a thread of its own, `LiveClock` makes media time of it.
"""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pipeline.address import HTTP_SCHEMES, masked, scheme_of
from pipeline.config import Config
from pipeline.errors import Cause, SourceError
from pipeline.messages import SourceHealth, SourceState
from pipeline.packets import OnPacket
from pipeline.picture import Picture
from pipeline.sources.clock import LiveClock
from pipeline.sources.hardware import accelerator
from pipeline.sources.opened import Opened, silence_s
from pipeline.sources.reader import Connected, Over, Reader, Shown
from pipeline.sources.refusal import reach
from pipeline.sources.source import SourceInfo, Stop
from pipeline.sources.states import Change, Patience, States

_STALL_S: Final = 0.8
_START_S: Final = 12.0
"""From the beginning of an attempt to its first picture, and the longest that a connection may give packets but no
picture: more than the ten seconds between two key frames that some cameras allow themselves."""
_REACH_S: Final = 1.0
_LEFT_BEHIND: Final = 3
"""So many readers may hang in a library; there is no further attempt before one of them comes back."""
_NOTES: Final = 20


class LiveSource:
    """Pictures and changes of state of a camera. Nothing here blocks longer than it is told to."""

    def __init__(
        self,
        uri: str,
        config: Config,
        opened: Opened | None = None,
        newest: bool = True,
        objection: Callable[[int, int], str] = lambda width, height: "",
        chance: Callable[[], float] = random.random,
        on_packet: OnPacket | None = None,
    ) -> None:
        """`opened`: a connection that there is already. `newest`: who is slow to ask misses pictures. `objection`: why
        pictures of a width and height cannot be used; empty if they can. `on_packet` is called in the reader's thread
        with each packet before it is decoded."""
        self.name = masked(uri)
        self._uri, self._config, self._chance, self._newest = uri, config, chance, newest
        self._first, self._objection, self._on_packet = opened, objection, on_packet
        self._accepted: tuple[int, int] | None = None
        self._connected = self._reached = False
        self._began_s, self._patience_s = 0.0, config.source.timeout_s
        self._accelerator = accelerator(config.capture.hardware)
        self.notes: list[str] = []
        self.info: SourceInfo | None = None
        self.clock = LiveClock()
        self._codec = ""
        self._damaged = self._missing = self._superseded = self._packets = 0
        self._reader: Reader | None = None
        self._left: list[Reader] = []
        self._states = States(_patience(uri, config), time.monotonic())
        self._state, self._entered_s, self._since_unix_ns = self._states.state, time.monotonic(), time.time_ns()

    @property
    def over(self) -> bool:
        """Whether there will be no more."""
        return self._states.state == "ended"

    @property
    def reconnects(self) -> int:
        """How often it came back after it was lost."""
        return self._states.reconnects

    @property
    def superseded(self) -> int:
        """Pictures that a newer one replaced before they were asked for."""
        return self._superseded + (0 if self._reader is None else self._reader.superseded)

    @property
    def describe(self) -> str:
        """In a line, what it is, by what it is decoded, and why there are no pictures if there are none."""
        what = self.name if self.info is None else f"{self.info.describe()}, {self._codec}"
        state, line = self._states.state, self._states.line.removeprefix(f"{self.name}: ")
        how = [] if state == "live" else [f"{state}: {line}" if line else state]
        return "; ".join([*how, what, self._accelerator.note, *self.notes[-2:]])

    @property
    def health(self) -> SourceHealth:
        """What a heartbeat tells of it."""
        states, drift = self._states, self.clock.drift
        ahead_ns = None if self._reader is None else self._reader.clock_ahead_ns
        return SourceHealth(
            state=states.state,
            since_unix_ns=self._since_unix_ns,
            cause=states.cause,
            detail=states.line,
            attempts=states.attempts,
            reconnects=states.reconnects,
            stalls=states.stalls,
            failures=dict(states.failures),
            damaged=self._damaged + (0 if self._reader is None else self._reader.damaged),
            missing=self._missing + (0 if self._reader is None else self._reader.missing),
            jumps=self.clock.jumps,
            drift_ppm=drift.ppm,
            jitter_ms=drift.jitter_ms,
            clock_ahead_ms=None if ahead_ns is None else ahead_ns * 1e-6,
        )

    def poll(self, timeout_s: float) -> list[Change | Shown]:
        """What happened since the last call, waiting so long for a picture. Raises SourceError if it cannot go on."""
        now_s = time.monotonic()
        match self._states.next(now_s):
            case "give_up":
                raise SourceError(self._states.line, self._states.cause or "other")
            case "connect":
                self._connect(now_s)
            case "drop":
                self._drop()
        shown = self._take(timeout_s)
        changes = self._states.changes()
        for change in changes:
            self._entered(change.state)
        return [*changes, *shown]

    def _entered(self, state: SourceState) -> None:
        if state == self._state:
            return
        if (self._state, state) == ("lost", "live"):
            self._note(f"connection lost, back after {time.monotonic() - self._entered_s:.1f} s")
        self._state, self._entered_s, self._since_unix_ns = state, time.monotonic(), time.time_ns()

    def close(self) -> None:
        """Let go of it, in whatever state it is. Returns at once."""
        self._let_go()
        self._states.ended(time.monotonic())

    def _connect(self, now_s: float) -> None:
        self._left = [reader for reader in self._left if reader.alive]
        if len(self._left) < _LEFT_BEHIND:
            self._states.connecting(now_s)
            self._packets, self._reached, self._began_s = 0, False, now_s
            self._reader = Reader(self._open, self._newest)

    def _open(self, left: Stop) -> Opened:
        """In the reader's thread."""
        opened, self._first = self._first, None
        if opened is not None:
            return opened
        settings = self._config.source
        reach(self._uri, min(_REACH_S, settings.timeout_s))
        self._reached = True
        threads = self._config.capture.decoder_threads
        return Opened(
            self._uri, settings, threads, _unnoted, self._accelerator, left, self._patience_s, self._on_packet
        )

    def _drop(self) -> None:
        reader = self._reader
        mute = not self._reached if reader is None or not self._connected else reader.packets == self._packets
        self._let_go()
        cause, line = _MUTE if mute else _BLIND
        self._states.failed(cause, f"{self.name}: {line}", time.monotonic(), self._chance())

    def _let_go(self) -> None:
        reader, self._reader, self._connected = self._reader, None, False
        if reader is not None:
            self._damaged += reader.damaged
            self._missing += reader.missing
            self._superseded += reader.superseded
            reader.leave()
            self._left.append(reader)

    def _take(self, timeout_s: float) -> list[Shown]:
        reader = self._reader
        if reader is None:
            time.sleep(min(timeout_s, max(0.0, self._states.due_s - time.monotonic())))
            return []
        item = reader.take(timeout_s)
        now_s = time.monotonic()
        if reader.packets != self._packets:
            self._packets = reader.packets
            self._states.heard(now_s)
        match item:
            case Connected(info, codec):
                self.info, self._codec, self._connected = info, codec, True
                self.clock.connected(info.rate_hz)
                # Who has answered once is known: twice the time that it took is enough to tell that he does not now.
                settings = self._config.source
                least_s = silence_s(self._uri, settings)
                self._patience_s = min(settings.timeout_s, max(least_s, 2.0 * (now_s - self._began_s)))
            case Shown() if objection := self._objected(item.picture):
                self._let_go()
                self._states.failed("shape", f"{self.name}: {objection}", now_s, self._chance())
            case Shown():
                self._states.picture(now_s)
                t_media_ns = self.clock.at(item.presentation_ns, item.arrived_ns)
                return [replace(item, picture=item.picture.at(t_media_ns))]
            case Over(cause, line):
                self._let_go()
                if cause is None:
                    self._states.ended(now_s)
                else:
                    self._states.failed(cause, line, now_s, self._chance())
        return []

    def _objected(self, picture: Picture) -> str:
        """Why the picture cannot be used; asked of every size once."""
        assert self.info is not None
        width, height = picture.width, picture.height
        if self._accepted == (width, height):
            return ""
        if objection := self._objection(width, height):
            return objection
        if self._accepted is not None:
            was, now = (f"{w}x{h}" for w, h in (self._accepted, (width, height)))
            self._note(f"pictures change from {was} to {now}")
        self._accepted = (width, height)
        self.info = replace(self.info, width=width, height=height)
        return ""

    def _note(self, line: str) -> None:
        self.notes.append(f"{self.name}: {line}")
        del self.notes[:-_NOTES]


_MUTE: Final[tuple[Cause, str]] = ("silent", "no answer; check camera and network")
_BLIND: Final[tuple[Cause, str]] = (
    "undecodable",
    "is there, but sends no picture that can be decoded; see whether it sends key frames",
)


def _unnoted(line: str) -> None:
    """What a recording would note is counted here."""


def _patience(uri: str, config: Config) -> Patience:
    """HTTP brings its pictures by the segment: seconds without one are nothing there."""
    timeout_s = config.source.timeout_s
    start_s = max(_START_S, 2 * timeout_s + 1.0)
    if scheme_of(uri) in HTTP_SCHEMES:
        return Patience(stall_s=timeout_s, lost_s=timeout_s + 1.0, start_s=start_s)
    lost_s = silence_s(uri, config.source)
    return Patience(stall_s=min(_STALL_S, lost_s), lost_s=lost_s, start_s=start_s)
