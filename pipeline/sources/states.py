"""The states of a live source, and what is to be done next. It computes: no clock, no socket, no chance of its own.

    connecting ──▶ live ◀──▶ stalled        connecting: not one picture so far
                    ▲ │         │           stalled: connected, but a picture is overdue
                    │ ▼         ▼           lost: was live; connected again for as long as it takes
                   lost ◀───────┘           ended: for good, from any state

Attempts follow one another after pauses that grow and are never quite the same, so that cameras which came back
together are not asked together. A refused password is not tried twice before the first picture: cameras lock accounts.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import Cause
from pipeline.messages import SourceState

Action = Literal["wait", "connect", "drop", "give_up"]

FIRST_PAUSE_S: Final = 0.2
JITTER: Final = 0.2
"""A pause is up to so much shorter or longer."""
STEADY_S: Final = 5.0
"""A connection that gave pictures for so long was a good one, and the pauses begin anew."""
FATAL: Final[frozenset[Cause]] = frozenset({"unauthorized", "unsupported", "shape"})
"""What no waiting mends, before the first picture: only who typed the address can."""
LONGEST_PAUSE_S: Final[dict[Cause, float]] = {
    "not_found": 2.0,
    "rejected": 2.0,
    "garbage": 2.0,
    "no_video": 5.0,
    "shape": 5.0,
    "unsupported": 5.0,
    "unauthorized": 30.0,
}
"""Somebody answered, and said no: he is asked less often than nobody is."""
LONGEST_PAUSE_OTHERWISE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: for a picture that is overdue, for one that never comes, for the first of a connection."""

    stall_s: float
    lost_s: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """A state was entered, or stayed in for another reason: `cause` and the `line` for people are of the last failure.

    Both are empty where nothing has failed.
    """

    state: SourceState
    cause: Cause | None
    line: str


class States:
    """One source. Every call says what the time is, in seconds of a clock that never goes back."""

    def __init__(self, patience: Patience, now_s: float) -> None:
        self._patience = patience
        self.state: SourceState = "connecting"
        self.since_s = now_s
        self.connected = False
        self.due_s = now_s
        self.attempts = self.reconnects = self.stalls = 0
        self.failures: Counter[str] = Counter()
        self.cause: Cause | None = None
        self.line = ""
        self._in_a_row = 0
        self._began_s = self._live_s = self._picture_s = self._heard_s = now_s
        self._pictured = False
        self._fatal = False
        self._changes = [Change("connecting", None, "")]

    def changes(self) -> list[Change]:
        """What changed since the last call, oldest first."""
        changes, self._changes = self._changes, []
        return changes

    def connecting(self, now_s: float) -> None:
        """An attempt begins."""
        self.attempts += 1
        self.connected, self._pictured = True, False
        self._began_s = self._heard_s = now_s

    def heard(self, now_s: float) -> None:
        """Something came, be it no picture."""
        self._heard_s = max(self._heard_s, now_s)

    def picture(self, now_s: float) -> None:
        """A picture came."""
        if self.state == "ended":
            return
        if not self._pictured:
            self._pictured, self._live_s = True, now_s
        self._picture_s = self._heard_s = max(now_s, self._picture_s)
        if now_s - self._live_s >= STEADY_S:
            self._in_a_row = 0
        if self.state != "live":
            self.reconnects += self.state == "lost"
            self._enter("live", now_s, None, "")

    def failed(self, cause: Cause, line: str, now_s: float, chance: float) -> None:
        """The attempt failed or the connection broke off; `chance`, 0 to 1, makes the pause its own."""
        if self.state == "ended":
            return
        self.failures[cause] += 1
        self._in_a_row += 1
        self.connected = self._pictured = False
        # What an attempt took counts: one that was not answered for two seconds was pause enough.
        least_s = FIRST_PAUSE_S * (1.0 + JITTER * chance)
        self.due_s = max(now_s + least_s, self._began_s + pause_s(cause, self._in_a_row, chance))
        self._fatal = self.state == "connecting" and cause in FATAL
        told = (self.cause, self.line)
        state: SourceState = "connecting" if self.state == "connecting" else "lost"
        if state != self.state or told != (cause, line):
            self._enter(state, now_s, cause, line)

    def ended(self, now_s: float) -> None:
        """There will be no more."""
        self.connected = False
        if self.state != "ended":
            self._enter("ended", now_s, self.cause, self.line)

    def next(self, now_s: float) -> Action:
        """What is to be done now. `drop`: let go of the connection and say that it `failed`."""
        if self.state == "ended":
            return "wait"
        if self._fatal:
            return "give_up"
        if not self.connected:
            return "connect" if now_s >= self.due_s else "wait"
        if not self._pictured:
            return "drop" if now_s - self._began_s > self._patience.start_s else "wait"
        if now_s - self._picture_s > self._patience.stall_s and self.state == "live":
            self.stalls += 1
            self._enter("stalled", now_s, None, "")
        mute = now_s - self._heard_s > self._patience.lost_s
        blind = now_s - self._picture_s > max(self._patience.lost_s, self._patience.start_s)
        return "drop" if mute or blind else "wait"

    def _enter(self, state: SourceState, now_s: float, cause: Cause | None, line: str) -> None:
        if state != self.state:
            self.since_s = now_s
        self.state, self.cause, self.line = state, cause, line
        self._changes.append(Change(state, cause, line))


def pause_s(cause: Cause, in_a_row: int, chance: float) -> float:
    """How long to wait before the next attempt, after so many failures in a row."""
    longest = LONGEST_PAUSE_S.get(cause, LONGEST_PAUSE_OTHERWISE_S)
    least = longest if cause == "unauthorized" else FIRST_PAUSE_S
    grown = min(longest, max(least, FIRST_PAUSE_S * 2.0 ** min(in_a_row - 1, 16)))
    return grown * (1.0 + JITTER * (2.0 * chance - 1.0))
