"""Somersaults and twists: how far a body turned between take-off and entry, how fast, and how surely that is known.

The somersault is the angle of the trunk in the plane across the somersault axis, from the vertical stance (armstands:
from upside down). The twist is the angle of the body's left about the trunk, measured from the somersault axis. It is
never summed up from rates about the long axis: a tilted body that somersaults gains such an angle without twisting.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight import somersault, twist
from flight.chain import Course
from flight.motion import Motion
from flight.report import Estimate
from flight.trunk import body_axes, mirrored, unit
from flight.turning_part import part_of

Floats = NDArray[np.float64]

FIT_S: Final = 0.1
"""Window of the local fits that angles and rates are read from."""
_UP: Final = np.array([0.0, 0.0, 1.0])
_ACROSS: Final = np.array([1.0, 0.0, 0.0])
_FAR: Final = np.radians(60.0)
"""A frame further from the course is none of it."""
_FLOOR_SD: Final = np.radians(2.0)


@dataclass(frozen=True, slots=True)
class Turning:
    """Turns of T frames; NaN outside take-off and entry but for a moment before. Angles in turns, rates in degrees/s.

    `sense` 1: the top of the body turned towards the water (outward), -1: towards the board. Somersault and twist,
    curves and totals, are positive in the sense in which the body turned; the totals count from the vertical stance and
    from facing along or against the board.
    `counts`: (signed half somersaults, positive outward; 0: faces as an upright diver who looks over the water, 1: the
    other way; half twists) to probability, likeliest first.
    """

    sense: int
    somersault_turns: Floats
    twist_turns: Floats
    somersault_deg_s: Floats
    twist_deg_s: Floats
    somersault: Estimate
    twist: Estimate
    counts: dict[tuple[int, int, int], float]


def somersault_axis(up_world: Floats, outward_world: Floats, outward_sd_rad: float = 0.1) -> Floats:
    """Unit axis (3,) that the trunk directions `up_world` (T, 3) are across to, near the one `outward_world` demands.

    Smallest eigenvector of the mean of up up^T, with a prior: about the horizontal across the flight, which it leaves
    by `outward_sd_rad`. A positive turn about it brings the top of the body outward.
    """
    known = up_world[np.isfinite(up_world).all(-1)]
    prior = unit(np.cross(_UP, outward_world * [1, 1, 0]))
    # A frame tells the axis as well as its trunk is across to it, about 0.3 with tilt; they are not independent.
    told = known.T @ known / 0.3**2 / 5
    told += (np.eye(3) - np.outer(prior, prior)) / outward_sd_rad**2
    axis = np.linalg.eigh(told)[1][:, 0]
    return np.asarray(axis * np.sign(axis @ prior))


def local_fits(t_s: Floats, values: Floats, weights: Floats, window_s: float) -> tuple[Floats, Floats, Floats]:
    """Value, rate and standard deviation of the value (T,) by weighted parabolas over `window_s` around every frame.

    After Savitzky and Golay, for uneven steps and up to the ends. `weights` are inverse squares of deviations.
    """
    apart = t_s - t_s[:, None]
    # At least five frames take part; a taper keeps the fits steady from frame to frame.
    reach = np.maximum(window_s / 2, np.sort(np.abs(apart), axis=1)[:, min(4, len(t_s) - 1)] * 1.05)[:, None]
    share = np.clip(1 - (np.abs(apart) / reach) ** 2, 0, None) * weights
    base = np.stack([np.ones_like(apart), apart / reach, (apart / reach) ** 2], -1)
    normal = np.einsum("ts,tsa,tsb->tab", share, base, base) + 1e-9 * np.eye(3)
    solved = np.linalg.solve(normal, np.einsum("ts,tsa,s->ta", share, base, values)[..., None])[..., 0]
    return solved[:, 0], solved[:, 1] / reach[:, 0], np.sqrt(np.linalg.inv(normal)[:, 0, 0])


def turning(
    motion: Motion,
    take_off: int,
    entry: int,
    outward_world: Floats = _ACROSS,
    outward_sd_rad: float = 0.1,
    view_world: Floats | None = None,
    inverted: bool = False,
    head_first: float | None = None,
) -> Turning:
    """How the body of `motion` turned from frame `take_off` to frame `entry`.

    `outward_world` (3,): from the board over the water. `view_world` (3,) or (T, 3): from the camera to the body; poses
    may then be wrong in depth. `inverted`: an armstand. `head_first`: probability that the hands meet the water first.
    Raises ValueError when there are fewer than four frames with a body.
    """
    part = part_of(motion, take_off, entry, view_world)
    axis = somersault_axis(part.up[part.off :], np.asarray(outward_world, float), outward_sd_rad)
    upright = unit(_UP - (_UP @ axis) * axis)
    plane = np.stack([upright, np.cross(axis, upright)])
    rolls = somersault.courses(part.trunk, plane, part.at, inverted, head_first)
    angles = _angles(part.up, part.view, plane)

    def rolled_by(key: tuple[int, int]) -> "_Measured":
        return _measured(part.t_s, part.rows, rolls.course(*key), angles, part.up_sd)

    rolled = rolled_by(rolls.likeliest())
    twists = twist.courses(part.sides(2 * np.pi * rolled.turns, plane), axis, part.at)
    counts, roll, (facing, twisted) = _counts(rolls.halves, twists.halves)
    if roll != rolls.likeliest():
        rolled = rolled_by(roll)
    ways = _twists(part.joints, part.view, axis)
    spun = _measured(part.t_s, part.rows, twists.course(facing, twisted), ways, part.left_sd)
    rolled = rolled.since(0.5 * inverted)
    sense = 1 if (roll[0] or rolled.turns[-1]) >= 0 else -1
    rolled, spun = rolled.times(sense), spun.since(facing / 2).times(1 if twisted >= 0 else -1)
    return Turning(
        sense, part.whole(rolled.turns), part.whole(spun.turns), part.whole(rolled.deg_s), part.whole(spun.deg_s),
        rolled.total(), spun.total(), counts,
    )  # fmt: skip


def _angles(up: Floats, view: Floats | None, plane: Floats) -> Floats:
    """Angle (T, 4) of the trunk in the plane: as it is, mirrored, upside down, both."""
    ways = [up, up if view is None else mirrored(up, view)]
    return np.stack([np.arctan2(way @ plane[1], way @ plane[0]) for way in (*ways, -ways[0], -ways[1])], -1)


def _twists(joints: Floats, view: Floats | None, axis: Floats) -> Floats:
    """Angle (T, 4) of the left about the trunk from the axis: as it is, sides exchanged, mirrored, both."""
    axes = body_axes(joints)
    left, up = axes[..., 0], axes[..., 2]
    found = []
    for way, along in ((left, up), *(() if view is None else ((mirrored(left, view), mirrored(up, view)),))):
        level = unit(axis - (along @ axis)[:, None] * along)
        angle = np.arctan2(np.sum(way * np.cross(along, level), -1), np.sum(way * level, -1))
        found += [angle, angle + np.pi]
    return np.stack(found if view is not None else found * 2, -1)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Turns, rates and spread of the turns (T,)."""

    turns: Floats
    deg_s: Floats
    sd: Floats

    def since(self, start: float) -> "_Measured":
        return _Measured(self.turns - start, self.deg_s, self.sd)

    def times(self, sense: int) -> "_Measured":
        return _Measured(sense * self.turns, sense * self.deg_s, self.sd)

    def total(self) -> Estimate:
        return Estimate(float(self.turns[-1]), float(self.sd[-1]))


def _measured(
    t_s: Floats,
    rows: NDArray[np.int_],
    course: Course,
    ways: Floats,
    sd: Floats,
) -> _Measured:
    """What frames measure near the course, locally fitted.

    `ways` (T, 4) angles by fault; the likeliest fault of a frame says which is meant, as long as it is near the course.
    """
    path = 2 * np.pi * np.interp(t_s, t_s[rows], course.turns)
    doubt = np.interp(t_s, t_s[rows], 2 * np.pi * course.sd)
    faults = course.faults[np.searchsorted(rows, np.arange(len(t_s))).clip(0, len(rows) - 1)]
    apart = ways - path[:, None]
    apart = (apart + np.pi) % (2 * np.pi) - np.pi
    cost = np.abs(apart) - np.log(np.maximum(faults[:, :4], 1e-3))
    best = np.take_along_axis(apart, np.nan_to_num(cost, nan=np.inf).argmin(1)[:, None], 1)[:, 0]
    good = np.abs(best) < _FAR
    spread = np.maximum(np.where(np.isfinite(sd), sd, 1.0), _FLOOR_SD)
    # The course itself is a weak measurement: it alone carries the fit over gaps.
    weight = np.where(good, 1 / spread**2, 0.0)
    weak = 1 / np.maximum(doubt, np.radians(20.0)) ** 2
    values = path + np.where(good, weight / (weight + weak) * np.nan_to_num(best), 0.0)
    turns, rate, err = local_fits(t_s, values, weight + weak, FIT_S)
    return _Measured(turns / (2 * np.pi), np.degrees(rate), np.hypot(err, _FLOOR_SD) / (2 * np.pi))


_AGREE: Final = 0.9
"""Probability that the chest looks where the folding of the trunk says, after all twists."""
_UNUSUAL: Final = 0.15
_LEAST_HALVES: Final = 3
"""From so many half somersaults on divers end a twist so that they somersault forward: they want to see the water."""


def _counts(
    rolls: dict[tuple[int, int], float], twists: dict[tuple[int, int], float]
) -> tuple[dict[tuple[int, int, int], float], tuple[int, int], tuple[int, int]]:
    """Probabilities of `Turning.counts`, and the likeliest keys of `rolls` and `twists` that are behind the first.

    Somersault and twist agree on the side to which the body folds.
    """
    pairs: dict[tuple[tuple[int, int], tuple[int, int]], float] = {}
    for (half, fold), of_half in rolls.items():
        for (facing, twisted), of_twist in twists.items():
            outward = (facing + twisted) % 2 == 0
            weight = _AGREE if outward == (fold > 0) else 1 - _AGREE
            if twisted and abs(half) >= _LEAST_HALVES and outward != (half > 0):
                weight *= _UNUSUAL
            pairs[(half, fold), (facing, twisted)] = of_half * of_twist * weight
    total = sum(pairs.values())
    found: dict[tuple[int, int, int], float] = {}
    for ((half, _), (facing, twisted)), share in pairs.items():
        key = (half, facing, abs(twisted))
        found[key] = found.get(key, 0.0) + share / total
    ranked = dict(sorted(((key, share) for key, share in found.items() if share > 1e-6), key=lambda pair: -pair[1]))
    first = next(iter(ranked))
    roll, spin = max(
        (pair for pair in pairs if (pair[0][0], pair[1][0], abs(pair[1][1])) == first), key=lambda pair: pairs[pair]
    )
    return ranked, roll, spin
