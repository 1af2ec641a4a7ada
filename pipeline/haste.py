"""How fast somebody goes up or down, by the last looks alone.

A filter knows more, but believes it: of somebody who stands it may hold for long that they fall, as a little error in
each look. A straight line through some looks knows nothing and is never wrong for longer than they last. Arms that go
up move one end of a box; who falls takes both along.
"""

from collections import deque
from math import hypot, sqrt
from typing import Final

import numpy as np

from flight.pull import GRAVITY_M_S2
from pipeline.messages import Box, Point2

SPAN_S: Final = 0.24
"""Looks of so long; half of a leap from a platform, up."""
LEAST_LOOKS: Final = 3
DOUBT: Final = 2.5
JUMP_M_S: Final = 0.8
"""Less so many standard deviations nobody is as fast up or down without leaving what they stand on."""
SUSPICION: Final = 1.0
SUSPICIOUS_M_S: Final = 0.4
"""And so much is worth another look."""
STAND_S: Final = 0.6
STAND_LOOKS: Final = 8
LOOK_S: Final = 0.1
STAND_M_S: Final = 0.8
"""Who stands is no faster in looks of so long, less the time to the next, so many at least."""
NOISE_M: Final = 0.12
NOISE_LOOKS: Final = 4
"""How far looks are off the line is believed to be this before any, and as firmly as if so many had said so."""
BOTH_ENDS: Final = 0.3
"""Each end of the box goes at least this share of the middle's speed in its direction."""


class Haste:
    """Of one person."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, float, float]] = deque()
        self._looks: list[tuple[float, float, float]] = []

    def saw(self, t_s: float, box_img_px: Box, pull_px_s2: Point2) -> None:
        """Take in what a look showed at `t_s`, where gravity acts so."""
        left, top, right, bottom = box_img_px
        size = hypot(*pull_px_s2)
        if not size:  # seen from straight above nobody goes up or down
            return
        down_u, down_v = pull_px_s2[0] / size, pull_px_s2[1] / size
        along = ((left + right) * down_u + (top + bottom) * down_v) / 2
        half = ((right - left) * abs(down_u) + (bottom - top) * abs(down_v)) / 2
        if self._all and self._all[-1][0] >= t_s:  # a second look at the same picture
            self._all.pop()
        self._all.append((t_s, along - half, along + half))
        while self._all[0][0] < t_s - STAND_S:
            self._all.popleft()
        self._looks = [look for look in self._all if look[0] >= t_s - SPAN_S]

    def may_jump(self, metre_px: float) -> bool:
        """Whether that is worth another look soon."""
        return abs(self.speed_m_s(metre_px, SUSPICION)) > SUSPICIOUS_M_S

    def way(self, metre_px: float) -> int:
        """1 or -1 if it goes down or up faster than anybody on their feet, beyond doubt; else 0."""
        speed = self.speed_m_s(metre_px, DOUBT)
        return (speed > JUMP_M_S) - (speed < -JUMP_M_S)

    def stands(self, metre_px: float) -> bool:
        """Whether it went neither up nor down for long, and not up and down again as in a leap."""
        if len(self._all) < STAND_LOOKS or self._all[-1][0] - self._all[0][0] < STAND_S - LOOK_S:
            return False
        times = np.array([t_s for t_s, _, _ in self._all]) - self._all[0][0]
        places = np.array([(top + bottom) / 2 for _, top, bottom in self._all]) / metre_px
        half_pull, _, _ = np.polyfit(times, places, 2)
        speed, _ = np.polyfit(times, places, 1)
        return bool(abs(speed) < STAND_M_S and abs(half_pull) < GRAVITY_M_S2 / 4)

    def differs(self, speed_m_s: float, metre_px: float) -> bool:
        """Whether it goes down less than half as fast as somebody of this speed, beyond doubt."""
        if len(self._looks) < LEAST_LOOKS:
            return False
        speed, sd = self._middle(metre_px)
        return speed + DOUBT * sd < metre_px * speed_m_s / 2

    def _middle(self, metre_px: float) -> tuple[float, float]:
        """Speed of the box's middle and its standard deviation, pixels per second."""
        return _line([t_s for t_s, _, _ in self._looks], [(a + b) / 2 for _, a, b in self._looks], NOISE_M * metre_px)

    def speed_m_s(self, metre_px: float, doubt: float = 0.0) -> float:
        """Speed down, below 0 when up, nearer to 0 by so many standard deviations; 0 while unknown, or one end
        stays."""
        if len(self._looks) < LEAST_LOOKS:
            return 0.0
        times = [t_s for t_s, _, _ in self._looks]
        upper, _ = _line(times, [top for _, top, _ in self._looks])
        lower, _ = _line(times, [bottom for _, _, bottom in self._looks])
        speed, sd = self._middle(metre_px)
        sign = 1.0 if speed > 0 else -1.0
        if min(sign * upper, sign * lower) < BOTH_ENDS * sign * speed:
            return 0.0
        return sign * max(0.0, abs(speed) - doubt * sd) / metre_px


def _line(times: list[float], places: list[float], noise: float = 0.0) -> tuple[float, float]:
    """Slope of the straight line through places, and its standard deviation, `noise` expected."""
    count = len(times)
    middle_t, middle = sum(times) / count, sum(places) / count
    spread = sum((t - middle_t) ** 2 for t in times)
    slope = sum((t - middle_t) * (place - middle) for t, place in zip(times, places, strict=True)) / spread
    rest = sum((place - middle - slope * (t - middle_t)) ** 2 for t, place in zip(times, places, strict=True))
    return slope, sqrt((rest + NOISE_LOOKS * noise**2) / (count - 2 + NOISE_LOOKS) / spread)
