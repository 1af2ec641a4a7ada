"""Kalman filter of a subject's box: constant velocity, with an acceleration that is known from outside.

Per axis of the picture the state is position and velocity of the box's centre; u and v share one covariance,
because they share noise and times. Width and height are random walks in their logarithms. Noise is relative
to the box's longer side, so the same settings suit near and far subjects. Equations: F = [[1, dt], [0, 1]],
input [dt^2/2, dt] a, Q = q [[dt^3/3, dt^2/2], [dt^2/2, dt]].
"""

import math
from dataclasses import dataclass
from typing import Final

from engines.codecs import Box

GATE: Final = 9.21
"""99 % of chi-square with two degrees of freedom."""


@dataclass(frozen=True, slots=True)
class KalmanSettings:
    """Noise of the filter; lengths in units of the box's longer side.

    `acceleration` is the unknown acceleration (per s^2, acting as white noise of that size times the square
    root of a second); `measurement` the noise of a measured centre; `start_speed` the spread of the speed of
    a new subject (per s); `size_walk` the relative change of size per square root of a second,
    `size_measurement` the relative noise of a measured size, `size_rate` how fast the logarithms of width and
    height may change, per s: a diver who tucks halves the height of the box in a tenth of a second.
    """

    acceleration: float = 10.0
    measurement: float = 0.04
    folding: float = 0.3
    start_speed: float = 5.0
    size_walk: float = 1.0
    size_measurement: float = 0.08
    size_rate: float = 7.0
    gate: float = GATE


class BoxFilter:
    """One subject's box (left, top, right, bottom), pixels of `img`, from frame to frame."""

    def __init__(self, box_img_px: Box, settings: KalmanSettings | None = None) -> None:
        self.settings = KalmanSettings() if settings is None else settings
        self.u, self.v, self.width, self.height = _centred(box_img_px)
        self.velocity_px_s = (0.0, 0.0)
        self._unmeasured_s = 0.0
        side = self._side
        # Covariance of (position, velocity): var position, covariance, var velocity.
        self._pp, self._pv = (self.settings.measurement * side) ** 2, 0.0
        self._vv = (self.settings.start_speed * side) ** 2
        self._size_variance = self.settings.size_measurement**2

    @property
    def box_img_px(self) -> Box:
        """The box as filtered or predicted."""
        return (
            self.u - self.width / 2,
            self.v - self.height / 2,
            self.u + self.width / 2,
            self.v + self.height / 2,
        )

    @property
    def sd_px(self) -> float:
        """Standard deviation of the centre, along either axis."""
        return math.sqrt(self._pp)

    @property
    def _side(self) -> float:
        return max(self.width, self.height)

    def predict(self, dt_s: float, acceleration_px_s2: tuple[float, float] = (0.0, 0.0)) -> None:
        """Advance by `dt_s`; the known acceleration (gravity as seen in the picture) acts throughout."""
        (v_u, v_v), (a_u, a_v) = self.velocity_px_s, acceleration_px_s2
        self.u += dt_s * (v_u + dt_s * a_u / 2)
        self.v += dt_s * (v_v + dt_s * a_v / 2)
        self.velocity_px_s = (v_u + dt_s * a_u, v_v + dt_s * a_v)
        noise = (self.settings.acceleration * self._side) ** 2
        self._pp += dt_s * (2 * self._pv + dt_s * self._vv) + noise * dt_s**3 / 3
        self._pv += dt_s * self._vv + noise * dt_s**2 / 2
        self._vv += noise * dt_s
        self._size_variance += self.settings.size_walk**2 * dt_s
        self._unmeasured_s += dt_s

    def distance2(self, box_img_px: Box) -> float:
        """Squared Mahalanobis distance of a measured box's centre from the prediction."""
        u, v, width, height = _centred(box_img_px)
        return float((u - self.u) ** 2 + (v - self.v) ** 2) / (self._pp + self._noise(width, height))

    def update(self, box_img_px: Box) -> bool:
        """Correct by a measured box; False, and nothing changes, when it lies beyond the gate."""
        if self.distance2(box_img_px) > self.settings.gate:
            return False
        u, v, width, height = _centred(box_img_px)
        total = self._pp + self._noise(width, height)
        gain, gain_v = self._pp / total, self._pv / total
        off_u, off_v = u - self.u, v - self.v
        v_u, v_v = self.velocity_px_s
        self.u, self.v = self.u + gain * off_u, self.v + gain * off_v
        self.velocity_px_s = (v_u + gain_v * off_u, v_v + gain_v * off_v)
        self._vv -= gain_v * self._pv
        self._pp, self._pv = self._pp * (1 - gain), self._pv * (1 - gain)
        self._resize(width, height)
        self._unmeasured_s = 0.0
        return True

    def _noise(self, width: float, height: float) -> float:
        """Variance of a measured centre: a body that folds or stretches moves its box's centre without moving."""
        change = max(abs(width - self.width), abs(height - self.height))
        return (self.settings.measurement * self._side) ** 2 + (self.settings.folding * change) ** 2

    def _resize(self, width: float, height: float) -> None:
        """Width and height towards the measured ones, by no more than the limit since the last update."""
        gain = self._size_variance / (self._size_variance + self.settings.size_measurement**2)
        limit = self.settings.size_rate * self._unmeasured_s
        self._size_variance *= 1 - gain
        self.width *= math.exp(_clamped(gain * math.log(width / self.width), limit))
        self.height *= math.exp(_clamped(gain * math.log(height / self.height), limit))


def _centred(box_img_px: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_img_px
    if not (right > left and bottom > top):
        raise ValueError(f"expected a box with left < right and top < bottom; got {box_img_px}")
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _clamped(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
