"""What one camera has seen of one athlete's centre of gravity, frame by frame, as evidence for falls."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.fall import Seen
from flight.sighting import Sighting

Floats = NDArray[np.float64]

_MOST_FRAMES: Final = 900
_COLUMNS: Final = 6


class History:
    """Sightings in order of their frames; one seen better later replaces what was there."""

    def __init__(self) -> None:
        self._seq: list[int] = []
        self._rows: list[tuple[float, ...]] = []

    def put(self, seq: int, t_s: float, sighting: Sighting | None) -> None:
        """Take in a frame, or again one of the last few; None: nothing was seen."""
        row = (
            (t_s, np.nan, np.nan, np.nan, np.nan, np.nan)
            if sighting is None
            else (t_s, *sighting.flat, sighting.flat_sd, sighting.depth_m, sighting.depth_sd)
        )
        at = len(self._seq)
        while at and self._seq[at - 1] >= seq:
            at -= 1
        if at < len(self._seq):
            if self._seq[at] == seq:
                self._rows[at] = row
            return
        self._seq.append(seq)
        self._rows.append(row)
        if len(self._seq) > _MOST_FRAMES:
            del self._seq[: _MOST_FRAMES // 3], self._rows[: _MOST_FRAMES // 3]

    def between(self, first_s: float, last_s: float) -> "Rows":
        """What was seen from one time to another, both included."""
        low = self._place(first_s)
        high = len(self._rows)
        while high > low and self._rows[high - 1][0] > last_s:
            high -= 1
        return Rows(np.array(self._rows[low:high], np.float64).reshape(-1, _COLUMNS))

    @property
    def newest_s(self) -> float:
        """Time of the newest frame; minus infinity when there is none."""
        return self._rows[-1][0] if self._rows else -np.inf

    def _place(self, t_s: float) -> int:
        low, high = 0, len(self._rows)
        while low < high:
            middle = (low + high) // 2
            if self._rows[middle][0] < t_s:
                low = middle + 1
            else:
                high = middle
        return low


@dataclass(frozen=True, slots=True)
class Rows:
    """N frames; NaN where nothing was seen."""

    table: Floats

    @property
    def t_s(self) -> Floats:
        """(N,)"""
        return self.table[:, 0]

    @property
    def flat(self) -> Floats:
        """(N, 2)"""
        return self.table[:, 1:3]

    @property
    def flat_sd(self) -> Floats:
        """(N,)"""
        return self.table[:, 3]

    @property
    def depth_m(self) -> Floats:
        """(N,)"""
        return self.table[:, 4]

    @property
    def depth_sd(self) -> Floats:
        """(N,) relative."""
        return self.table[:, 5]

    def seen(self, depths: tuple[tuple[float, float, float], ...]) -> Seen:
        """What a fall through these frames is fitted to; `depths` as in `Seen`."""
        return Seen(self.t_s, self.flat, self.flat_sd, depths).usable
