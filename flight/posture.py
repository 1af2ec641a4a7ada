"""How a body is bent in flight: straight, pike, tuck or free, frame by frame and as the position of the dive.

Straight: hips and knees above 150 degrees. Pike: hips below 120, knees above 150. Tuck: both below 120. Anything else
is free. A hidden Markov model keeps a class from frame to frame, and leaving it takes 10 degrees beyond its limits.
"""

from dataclasses import dataclass
from math import erf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.motion import Motion
from flight.report import POSITIONS, Position
from flight.trunk import unit

Floats = NDArray[np.float64]

STRAIGHT_DEG, FOLDED_DEG = 150.0, 120.0
HYSTERESIS_DEG: Final = 10.0
_STAY: Final = 0.97
"""Probability of keeping the class for 20 ms."""
_SOFT_DEG: Final = 8.0
"""Spread of a measured angle about the true one."""
MIDDLE: Final = (0.2, 0.8)
"""Shares of the flight between which the position is judged."""
_BENT: Final = (0.1, 0.9)
"""Shares of the flight between which a fold counts: after a twist it comes late."""
_EARLY: Final = (0.12, 0.3)
"""Shares of the flight between which a flying dive shows a straight body, and any other begins its fold."""
_SIDES: Final = ((11, 4, 5, 6), (14, 1, 2, 3))
"""Shoulder, hip, knee, ankle, left and right."""


@dataclass(frozen=True, slots=True)
class Posture:
    """Angles (T,) in degrees, steadied over 0.1 s, NaN outside the flight; `classes` (T,) indices into POSITIONS or -1.

    `probabilities` of the dive's position, in the order of POSITIONS; `held_straight` probability that a straight body
    was shown before the first fold, as in flying dives; `opening` the frame of the last opening, None without a fold.
    """

    hip_deg: Floats
    knee_deg: Floats
    classes: NDArray[np.int_]
    shares: dict[str, float]
    position: Position
    probabilities: Floats
    held_straight: float
    least_hip_deg: float
    least_knee_deg: float
    opening: int | None


def bends_deg(joints_m: Floats) -> tuple[Floats, Floats]:
    """Angles at hip and knee (...,) of joints (..., 17, 3), degrees, mean of both sides; 180 is straight."""

    def angle(a: int, b: int, c: int) -> Floats:
        first, second = unit(joints_m[..., a, :] - joints_m[..., b, :]), unit(joints_m[..., c, :] - joints_m[..., b, :])
        return np.asarray(np.degrees(np.arccos(np.clip(np.sum(first * second, -1), -1, 1))))

    hips = [angle(shoulder, hip, knee) for shoulder, hip, knee, _ in _SIDES]
    knees = [angle(hip, knee, ankle) for _, hip, knee, ankle in _SIDES]
    return (hips[0] + hips[1]) / 2, (knees[0] + knees[1]) / 2


def steadied(t_s: Floats, values: Floats) -> Floats:
    """`values` (T,) without jumps and gaps: the median of what is known within 0.05 s of a frame, then their mean."""
    near = np.abs(t_s - t_s[:, None]) <= 0.051
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return values
    filled = np.interp(t_s, t_s[rows], values[rows])
    middle = np.nanmedian(np.where(near, filled, np.nan), axis=1)
    return np.asarray((near @ middle) / near.sum(1))


def _above(angle: Floats, limit: float) -> Floats:
    """Probability (T,) that the true angle is above `limit`."""
    return np.asarray(1 / (1 + np.exp(-1.7 * (angle - limit) / _SOFT_DEG)))


def _memberships(hip: Floats, knee: Floats, ease: float) -> Floats:
    """(T, 4) how well the angles agree with each class whose limits are eased by `ease` degrees."""
    straight = _above(hip, STRAIGHT_DEG - ease) * _above(knee, STRAIGHT_DEG - ease)
    folded = 1 - _above(hip, FOLDED_DEG + ease)
    pike = folded * _above(knee, STRAIGHT_DEG - ease)
    tuck = folded * (1 - _above(knee, FOLDED_DEG + ease))
    strict = _memberships(hip, knee, -ease)[:, :3] if ease > 0 else np.stack([straight, pike, tuck], -1)
    free = 1 - strict.max(1)
    return np.stack([straight, pike, tuck, free], -1)


def classified(t_s: Floats, hip_deg: Floats, knee_deg: Floats) -> NDArray[np.int_]:
    """Class (T,) of every frame, an index into POSITIONS: the likeliest course of classes (Viterbi)."""
    enter = np.log(np.maximum(_memberships(hip_deg, knee_deg, 0.0), 1e-4))
    stay = np.log(np.maximum(_memberships(hip_deg, knee_deg, HYSTERESIS_DEG), 1e-4))
    score = enter[0].copy()
    back = np.zeros((len(t_s), 4), int)
    for k in range(1, len(t_s)):
        kept = _STAY ** ((t_s[k] - t_s[k - 1]) / 0.02)
        moves = np.broadcast_to(score[:, None] + np.log((1 - kept) / 3) + enter[k], (4, 4)).copy()
        np.fill_diagonal(moves, score + np.log(kept) + stay[k])
        back[k] = moves.argmax(0)
        score = moves.max(0)
    classes = np.empty(len(t_s), int)
    classes[-1] = score.argmax()
    for k in range(len(t_s) - 1, 0, -1):
        classes[k - 1] = back[k, classes[k]]
    return classes


def _below(value: float, limit: float, spread: float) -> float:
    return 0.5 * (1 + erf((limit - value) / spread / 2**0.5))


def posture(motion: Motion, take_off: int, entry: int, twists: float = 0.0) -> Posture:
    """The posture of `motion` from frame `take_off` to `entry`; `twists` turned, for only twisting dives are free.

    Raises ValueError when no frame of the flight has a body.
    """
    part = motion.part(take_off, entry)
    hip, knee = (steadied(part.t_s, angle) for angle in bends_deg(part.joints_world_m))
    if not np.isfinite(hip).all() or not np.isfinite(knee).all():
        raise ValueError("no frame with hips and knees between take-off and entry")
    share = (part.t_s - part.t_s[0]) / (part.t_s[-1] - part.t_s[0])
    classes = classified(part.t_s, hip, knee)
    middle = (share >= MIDDLE[0]) & (share <= MIDDLE[1])
    shares: dict[str, float] = {name: float(np.mean(classes[middle] == k)) for k, name in enumerate(POSITIONS)}
    bent = (share >= _BENT[0]) & (share <= _BENT[1])
    probabilities = _position(hip[bent], knee[bent], twists)
    opening = _opening(share, hip)
    return Posture(
        _whole(len(motion), take_off, hip), _whole(len(motion), take_off, knee),
        _whole(len(motion), take_off, classes, -1).astype(int), shares, POSITIONS[int(probabilities.argmax())],
        probabilities, _held_straight(share, hip), float(hip.min()), float(knee.min()),
        None if opening is None else take_off + opening,
    )  # fmt: skip


def _whole(frames: int, first: int, values: Floats | NDArray[np.int_], fill: float = np.nan) -> Floats:
    found = np.full(frames, fill)
    found[first : first + len(values)] = values
    return found


FOLD_DEG: Final = 125.0
"""Hips below: the dive is folded. Between the least of straight bodies and the most of folded ones, measured."""
TUCK_DEG: Final = 115.0
"""Knees below while folded: tuck."""


def _position(hip: Floats, knee: Floats, twists: float) -> Floats:
    """(4,) probabilities of the positions, from the folded part of the flight."""
    fold = float(np.percentile(hip, 6))
    most = hip <= np.percentile(hip, 25)
    folded = _below(fold, FOLD_DEG, 10.0)
    tucked = _below(float(np.median(knee[most])), TUCK_DEG, 14.0)
    found = np.array([1 - folded, folded * (1 - tucked), folded * tucked, 0.0])
    if twists >= 0.25:
        # Free is any of them; straight with twists is mostly called free.
        found = np.array([0.25, 0.9, 0.9, 0.0]) * found + np.array([0, 0, 0, 0.75 * found[0] + 0.1 * found[1]])
    return np.asarray(found / found.sum())


def _held_straight(share: Floats, hip: Floats) -> float:
    """Probability that the body stayed straight through the early flight and folded later, as in flying dives."""
    early = hip[(share >= _EARLY[0]) & (share <= _EARLY[1])]
    if not (hip[share >= _EARLY[1]] < FOLD_DEG).any() or not len(early):
        return 0.0
    return 1 - _below(float(np.mean(_above(early, FOLD_DEG + HYSTERESIS_DEG))), 0.7, 0.1)


def _opening(share: Floats, hip: Floats) -> int | None:
    """Frame at which the hips, after the last time they were folded, are half way to straight."""
    folded = np.flatnonzero((hip < FOLD_DEG) & (share >= MIDDLE[0]))
    if not len(folded) or folded[-1] == len(hip) - 1:
        return None
    last = int(folded[-1])
    opened = np.flatnonzero(hip[last:] > (hip.min() + 180) / 2)
    return last + int(opened[0]) if len(opened) else None
