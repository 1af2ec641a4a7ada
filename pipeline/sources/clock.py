"""Media time: what a source says about its own clock, made to grow strictly and, live, held against the host's clock.

A live source's clock may start again, jump or wrap. FFmpeg undoes the wrap of RTP's 32 bits; what is left is told by
the arrivals. A picture may come late, and many at once, without its time being wrong: it cannot come early. So media
time is believed as long as it neither goes back nor runs ahead of what has arrived; otherwise it goes on by the host's
clock from there.
"""

from collections import deque
from typing import Final

import numpy as np

_JUMP_BACK_NS: Final = 500_000_000
_AHEAD_NS: Final = 1_000_000_000
"""A step of media time so much longer than the time that passed, to where no picture could be yet, is a jump."""
_TICK_NS: Final = 1_000
_LEAK: Final = 1e-3
"""The earliest arrival is forgotten so fast, in seconds a second: a camera's clock may be slower than ours."""


class MediaClock:
    """Presentation times of a recording to `t_media_ns`: strictly growing, whatever the container says."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(1e9 / rate_hz)
        self._next_ns = 0
        self._last_ns: int | None = None
        self._offset_ns: int | None = None

    def at(self, presentation_ns: int | None) -> int:
        """Media time of the next picture, which the container shows at `presentation_ns`; None if it does not say."""
        if presentation_ns is None:
            return self._advance(self._next_ns)
        if self._offset_ns is None or presentation_ns + self._offset_ns < self._next_ns - _JUMP_BACK_NS:
            # The first picture, or a clock that started again: go on from here.
            self._offset_ns = self._next_ns - presentation_ns
        return self._advance(presentation_ns + self._offset_ns)

    def _advance(self, t_ns: int) -> int:
        t_ns = t_ns if self._last_ns is None else max(t_ns, self._last_ns + _TICK_NS)
        self._last_ns, self._next_ns = t_ns, t_ns + self._period_ns
        return t_ns


class LiveClock:
    """Presentation times of a live source to `t_media_ns`: strictly growing, in step with the host's clock.

    After a gap of three seconds media time is three seconds later. `jumps` counts how often the source's clock was not
    to be believed.
    """

    def __init__(self) -> None:
        self._first_ns = 0
        self._period_ns = 40_000_000
        self._last_ns: int | None = None
        self._arrived_ns = 0
        self._presented_ns: int | None = None
        self._anchor_ns: int | None = None
        self._offset_ns = self._lead_ns = 0
        self.jumps = 0
        self.drift = Drift()

    def begin(self, first_ns: int) -> None:
        """The first picture is to have this media time."""
        self._first_ns = first_ns

    def connected(self, rate_hz: float) -> None:
        """A connection was made: the source's clock has nothing to do with what it was."""
        self._period_ns = round(1e9 / rate_hz)
        self._presented_ns = None

    def at(self, presentation_ns: int | None, arrived_ns: int) -> int:
        """Media time of the next picture, which came at `arrived_ns` of the host's monotonic clock."""
        if presentation_ns is None:
            return self._advance(self._without_time(arrived_ns), arrived_ns)
        if self._presented_ns is None or self._jumped(presentation_ns, arrived_ns):
            self.jumps += self._presented_ns is not None
            self._rebase(presentation_ns, arrived_ns)
        self._presented_ns = presentation_ns
        t_ns = presentation_ns + self._offset_ns
        leaked_ns = round(_LEAK * (arrived_ns - self._arrived_ns))
        self._lead_ns = max(t_ns - arrived_ns, self._lead_ns - leaked_ns)
        self.drift.saw(t_ns, arrived_ns)
        return self._advance(t_ns, arrived_ns)

    def _without_time(self, arrived_ns: int) -> int:
        """A period after the picture before, unless much more time has passed."""
        if self._last_ns is None:
            self._anchor_ns = self._first_ns - arrived_ns
            return self._first_ns
        passed_ns = arrived_ns - self._arrived_ns
        return self._last_ns + (passed_ns if passed_ns > _AHEAD_NS else self._period_ns)

    def _jumped(self, presentation_ns: int, arrived_ns: int) -> bool:
        assert self._presented_ns is not None
        step_ns = presentation_ns - self._presented_ns
        if step_ns <= 0:
            return True
        lead_ns = presentation_ns + self._offset_ns - arrived_ns
        return step_ns > arrived_ns - self._arrived_ns + _AHEAD_NS and lead_ns > self._lead_ns + _AHEAD_NS

    def _rebase(self, presentation_ns: int, arrived_ns: int) -> None:
        # By the first picture of all, not by the one before: what a connection buffers before it shows anything would
        # add up from one to the next.
        if self._anchor_ns is None:
            self._anchor_ns = self._first_ns - arrived_ns
        t_ns = arrived_ns + self._anchor_ns
        if self._last_ns is not None:
            t_ns = max(t_ns, self._last_ns + self._period_ns)
        self._offset_ns = t_ns - presentation_ns
        self._lead_ns = t_ns - arrived_ns
        self.drift = Drift()

    def _advance(self, t_ns: int, arrived_ns: int) -> int:
        t_ns = t_ns if self._last_ns is None else max(t_ns, self._last_ns + _TICK_NS)
        self._last_ns, self._arrived_ns = t_ns, arrived_ns
        return t_ns


_BUCKET_NS: Final = 1_000_000_000
_BUCKETS: Final = 300
_LEAST_BUCKETS: Final = 20
_LATEST: Final = 256


class Drift:
    """How fast a source's clock runs against the host's, and how irregularly its pictures arrive.

    Delay only ever makes pictures late, so of every second the least delayed one is kept, and a line is laid through
    these of the last five minutes by the median of all slopes (Theil and Sen): a second that was late as a whole, or
    many of them, does not turn it.
    """

    def __init__(self) -> None:
        self._points: deque[tuple[int, int]] = deque(maxlen=_BUCKETS)  # arrival, media - arrival; ns
        self._late: deque[int] = deque(maxlen=_LATEST)
        self._best: tuple[int, int] | None = None
        self._told: tuple[int, float] | None = None

    def saw(self, t_media_ns: int, arrived_ns: int) -> None:
        """A picture of this media time arrived."""
        lead_ns = t_media_ns - arrived_ns
        self._late.append(lead_ns)
        if self._best is None or arrived_ns // _BUCKET_NS > self._best[0] // _BUCKET_NS:
            if self._best is not None:
                self._points.append(self._best)
            self._best = (arrived_ns, lead_ns)
        elif lead_ns > self._best[1]:
            self._best = (arrived_ns, lead_ns)

    @property
    def ppm(self) -> float | None:
        """By how many parts in a million the source's clock is faster; None before twenty seconds were seen."""
        if len(self._points) < _LEAST_BUCKETS:
            return None
        newest = self._points[-1][0]
        if self._told is None or newest - self._told[0] >= 5 * _BUCKET_NS:
            self._told = (newest, self._slope() * 1e6)
        return self._told[1]

    @property
    def jitter_ms(self) -> float:
        """How much later than the least delayed of the last few seconds 95 of 100 pictures come at most."""
        if not self._late:
            return 0.0
        leads = np.array(self._late, np.int64)
        return float(np.percentile(leads.max() - leads, 95)) * 1e-6

    def _slope(self) -> float:
        at, lead = np.array(self._points, np.float64).T
        first, second = np.triu_indices(len(at), 1)
        return float(np.median((lead[second] - lead[first]) / (at[second] - at[first])))
