"""What a body's shape says of its turning: how slowly it turns, how folding turns the trunk, whether it may twist."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight import mass
from flight.posture import FOLD_DEG, steadied

Floats = NDArray[np.float64]

_HIP_DEG: Final = (20.0, 50.0, 80.0, 110.0, 140.0, 160.0)
_PIKE_M2: Final = (0.057, 0.067, 0.098, 0.138, 0.175, 0.19)
_TUCK_M2: Final = 0.019
"""Moments of inertia by the bend of the hips with straight knees, and how much less with bent ones: medians of
simulated dives."""
_RANGE: Final = (0.8, 1.25)
_NEAR_S: Final = 0.101
_WHOLE: Final = (0.12, 0.95)
"""Shares of the flight in which a body folds once; before, it still moves as on the board."""
_STRAIGHT_DEG: Final = 165.0
"""The trunk turns with the hips below; between here and 180 it is the back that bends."""
_KNEE_DEG: Final = (45.0, 170.0)
_SHARE: Final = (0.19, 0.42)


def once_folded(t_s: Floats, values: Floats, take_off: int) -> Floats:
    """`values` (T,) that fall and rise once in flight, as hips and inertia do: a body that has folded stays so until it
    opens. Between, a value is at most the larger of the least before and the least after it.
    """
    share = (t_s - t_s[take_off]) / (t_s[-1] - t_s[take_off])
    rows = np.flatnonzero((share >= _WHOLE[0]) & (share <= _WHOLE[1]))
    inside = values[rows]
    before, after = np.minimum.accumulate(inside), np.minimum.accumulate(inside[::-1])[::-1]
    found = values.copy()
    found[rows] = np.minimum(inside, np.maximum(before, after))
    return found


def one_knee(hip_deg: Floats, knee_deg: Floats) -> Floats:
    """`knee_deg` (T,) with one value while the hips are folded, the median: a dive is a pike or a tuck, not both."""
    folded = hip_deg < FOLD_DEG
    if not folded.any():
        return knee_deg
    return np.asarray(np.where(folded, np.median(knee_deg[folded]), knee_deg))


def slowness(t_s: Floats, joints_m: Floats, hip_deg: Floats, knee_deg: Floats, take_off: int) -> Floats:
    """Largest moment of inertia (T,) of joints (T, 17, 3), m2 per unit of mass; gaps are bridged.

    It counts as measured, within what bodies with such hips and knees (T,) have: a network's bodies shrink at times.
    """
    body = mass.points(0.5)
    known = np.isfinite(joints_m).all((1, 2))
    points = body.from_joints @ joints_m[known]
    points = points - body.centre(joints_m[known])[:, None]
    found = np.interp(t_s, t_s[known], np.linalg.eigvalsh(body.inertia(points))[:, -1])
    tucked = _TUCK_M2 * np.interp(knee_deg, (60.0, 150.0), (1.0, 0.0))
    most = np.interp(hip_deg, _HIP_DEG, _PIKE_M2) - tucked * np.interp(hip_deg, (60.0, 120.0), (1.0, 0.0))
    held = np.clip(found, _RANGE[0] * (_PIKE_M2[0] - tucked), _RANGE[1] * most)
    return once_folded(t_s, steadied(t_s, held), take_off)


def folding_rad(hip_deg: Floats, knee_deg: Floats) -> Floats:
    """How far the trunk has turned towards the chest because the body folded, from the angles of hips and knees.

    The angular momentum of trunk and legs about each other is zero: what they turn is shared by their moments of
    inertia, of which the legs have less when the knees are bent. Linear fits to simulated dives.
    """
    share = np.interp(knee_deg, _KNEE_DEG, _SHARE)
    return np.asarray(np.radians(share * np.clip(_STRAIGHT_DEG - hip_deg, 0, None)))


def straightness(t_s: Floats, hip_deg: Floats) -> Floats:
    """0 to 1 (T,): whether the hips are straight in all of the 0.2 s around a frame."""
    near = np.abs(t_s - t_s[:, None]) <= _NEAR_S
    least = np.where(near, hip_deg, np.inf).min(1)
    return np.asarray(np.clip((least - FOLD_DEG + 15) / 30, 0, 1))
