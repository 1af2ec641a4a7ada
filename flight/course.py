"""The course of a centre of gravity through the world: the parabola of a flight, and what it tells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flight.fall import GRAVITY_M_S2
from flight.report import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Course:
    """A parabola in the world, z up: `start_m` (3,) and `velocity_m_s` (3,) at `t0_s`, and what a place is off by.

    `noise_m` is the standard deviation of a single frame about it, along any axis; `doubt` the relative uncertainty of
    all its lengths, which more frames do not lessen: that of the distance from the camera.
    """

    t0_s: float
    start_m: Floats
    velocity_m_s: Floats
    noise_m: float
    frames: int
    doubt: float

    def at(self, t_s: Floats | float) -> Floats:
        """Places (..., 3) at times (...,)."""
        t = (np.asarray(t_s, np.float64) - self.t0_s)[..., None]
        return np.asarray(self.start_m + t * self.velocity_m_s - t * t * np.array([0.0, 0.0, GRAVITY_M_S2 / 2]))

    def velocity_at(self, t_s: float) -> Floats:
        """Velocity (3,) at a time."""
        return np.asarray(self.velocity_m_s - (t_s - self.t0_s) * np.array([0.0, 0.0, GRAVITY_M_S2]))

    @property
    def apex_s(self) -> float:
        """When it is highest, which may be before the flight."""
        return self.t0_s + float(self.velocity_m_s[2]) / GRAVITY_M_S2

    def length(self, value_m: float, noises: float = 1.0) -> Estimate:
        """A length with what it may be off by; `noises`: how many frames' noise it has beside the doubt."""
        return Estimate(float(value_m), float(np.hypot(self.doubt * value_m, noises * self.steadied_m)))

    @property
    def steadied_m(self) -> float:
        """Standard deviation of a place in the middle of the parabola; neighbouring frames err alike."""
        return float(self.noise_m / np.sqrt(max(self.frames / 4, 1.0)))


def fitted_course(t_s: Floats, centre_m: Floats, doubt: float) -> Course | None:
    """The parabola through places (N, 3) at times (N,), with the Earth's gravity; those far from it count less. None
    for fewer than four that are known."""
    known = np.isfinite(centre_m).all(axis=1)
    if np.count_nonzero(known) < 4:
        return None
    t0_s = float(t_s[known].mean())
    t = t_s[known] - t0_s
    straight = centre_m[known] + np.outer(t * t, [0.0, 0.0, GRAVITY_M_S2 / 2])
    design = np.column_stack([np.ones_like(t), t])
    weight = np.ones_like(t)
    for _ in range(4):
        solved = np.linalg.lstsq(design * weight[:, None], straight * weight[:, None], rcond=None)[0]
        miss = np.linalg.norm(straight - design @ solved, axis=1)
        limit = 1.5 * max(float(np.median(miss)), 1e-6)
        weight = np.sqrt(np.minimum(1.0, limit / np.maximum(miss, 1e-12)))
    noise = float(np.sqrt(np.median(miss**2) / 2.37))  # chi-square's median with three degrees of freedom
    return Course(t0_s, solved[0], solved[1], noise, len(t), doubt)
