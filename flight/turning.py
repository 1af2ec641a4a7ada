"""Somersaults and twists: how far a body turned between take-off and entry, how fast, and how surely that is known.

The somersault is the angle of the trunk in the plane across the somersault axis, from the vertical stance (armstands:
from upside down). The twist is the angle of the body's left about the trunk, measured from the somersault axis. It is
never summed up from rates about the long axis: a tilted body that somersaults gains such an angle without twisting.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight import mass, somersault, twist
from flight.motion import Motion
from flight.posture import FOLD_DEG, bends_deg, steadied
from flight.report import Estimate
from flight.trunk import body_axes, hinge_left_of, left_of, mirrored, unit, up_of

Floats = NDArray[np.float64]

BEFORE_S: Final = 0.24
"""So much of the motion before the take-off tells which way the body stood."""
FIT_S: Final = 0.1
"""Window of the local fits that angles and rates are read from."""
_CHAIN_HZ: Final = 60.0
"""Frames that are closer are passed over when the course is sought, not when it is measured."""
_UP: Final = np.array([0.0, 0.0, 1.0])
_ACROSS: Final = np.array([1.0, 0.0, 0.0])
_FAR: Final = np.radians(60.0)
"""A frame further from the course is none of it."""
_NEAR_S: Final = 0.101
_LOW: Final = 0.3
_FLOOR_SD: Final = np.radians(2.0)


@dataclass(frozen=True, slots=True)
class Turning:
    """Turns of T frames; NaN outside take-off and entry but for a moment before. Angles in turns, rates in degrees/s.

    `sense` 1: the top of the body turned towards the water (outward), -1: towards the board. `twist_sense` 1: about the
    trunk from hips to head by the right hand, to the diver's left. Somersault and twist, curves and totals, are
    positive in these senses; the totals count from the vertical stance and from facing along or against the board.
    `counts`: (signed half somersaults, positive outward; 0: faces as an upright diver who looks over the water, 1: the
    other way; half twists) to probability, likeliest first.
    """

    axis_world: Floats
    sense: int
    twist_sense: int
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


def _inertia(t_s: Floats, joints_m: Floats) -> Floats:
    """(T,) largest moment of inertia. Small bodies are seen open by mistake, open ones hardly ever small: of what is
    near a frame a low value counts. Gaps are bridged."""
    body = mass.points(0.5)
    known = np.isfinite(joints_m).all((1, 2))
    found = np.full(len(joints_m), np.nan)
    points = body.from_joints @ joints_m[known]
    points = points - body.centre(joints_m[known])[:, None]
    found[known] = np.linalg.eigvalsh(body.inertia(points))[:, -1]
    rows = np.flatnonzero(known)
    near = np.abs(t_s - t_s[:, None]) <= _NEAR_S
    return np.asarray(np.nanquantile(np.where(near, np.interp(t_s, t_s[rows], found[rows]), np.nan), _LOW, axis=1))


def folding_rad(hip_deg: Floats, knee_deg: Floats) -> Floats:
    """How far the trunk has turned towards the chest because the body folded, from the angles of hips and knees.

    The angular momentum of trunk and legs about each other is zero: what they turn is shared by their moments of
    inertia, of which the legs have less when the knees are bent. Linear fits to simulated dives.
    """
    share = np.interp(knee_deg, (45.0, 170.0), (0.19, 0.42))
    return np.asarray(np.radians(share * np.clip(165.0 - hip_deg, 0, None)))


def straightness(t_s: Floats, hip_deg: Floats) -> Floats:
    """0 to 1 (T,): whether the hips are straight in all of the 0.2 s around a frame."""
    near = np.abs(t_s - t_s[:, None]) <= 0.101
    least = np.where(near, hip_deg, np.inf).min(1)
    return np.asarray(np.clip((least - FOLD_DEG + 15) / 30, 0, 1))


def _sampled(t_s: Floats, take_off: int) -> NDArray[np.int_]:
    """Frames for the search: all, or as many as `_CHAIN_HZ`, with take-off and last frame among them."""
    every = max(1, int(1 / _CHAIN_HZ / float(np.median(np.diff(t_s)))))
    rows = np.arange(take_off % every, len(t_s), every)
    return np.unique(np.append(rows, len(t_s) - 1))


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
    first = int(np.searchsorted(motion.t_s, motion.t_s[take_off] - BEFORE_S))
    part = motion.part(first, entry)
    joints, off = part.joints_world_m, take_off - first
    up, left = up_of(joints), left_of(joints)
    if np.isfinite(up).all(-1).sum() < 4:
        raise ValueError("fewer than four frames with a body between take-off and entry")
    view = None
    if view_world is not None:
        view = np.broadcast_to(unit(np.asarray(view_world, float)), (len(motion), 3))[first : entry + 1]
    axis = somersault_axis(unit(up)[off:], np.asarray(outward_world, float), outward_sd_rad)
    upright = unit(_UP - (_UP @ axis) * axis)
    plane = np.stack([upright, np.cross(axis, upright)])
    sd = np.nanmean(part.joints_sd_m[:, [1, 4, 11, 14]], axis=1)
    up_sd = sd / np.linalg.norm(up, axis=-1)
    rows = _sampled(part.t_s, off)
    at = int(np.searchsorted(rows, off))
    hip, knee = (steadied(part.t_s, angle) for angle in bends_deg(joints))
    seen = somersault.Seen(part.t_s[rows], unit(up)[rows], up_sd[rows], _inertia(part.t_s, joints)[rows],
                           folding_rad(hip, knee)[rows], None if view is None else view[rows])  # fmt: skip
    rolled = somersault.course(seen, plane, at, inverted, head_first)
    turned = _measured(part.t_s, rows, rolled, _angles(unit(up), view, plane), 0.5 * inverted, up_sd)
    course = 2 * np.pi * (turned[0] + 0.5 * inverted)
    long_axis = np.cos(course)[:, None] * plane[0] + np.sin(course)[:, None] * plane[1]
    left_sd = 2 * sd / np.linalg.norm(left, axis=-1)
    looked = twist.Seen(part.t_s[rows], unit(left)[rows], left_sd[rows], hinge_left_of(joints)[rows], long_axis[rows],
                        straightness(part.t_s, hip)[rows], None if view is None else view[rows])  # fmt: skip
    spun = twist.course(looked, axis, at)
    twisted = _measured(part.t_s, rows, spun, _twists(joints, view, axis), 0.0, left_sd)
    return _told(len(motion), first, off, axis, rolled, turned, spun, twisted)


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


def _measured(
    t_s: Floats,
    rows: NDArray[np.int_],
    course: somersault.Course | twist.Course,
    ways: Floats,
    start: float,
    sd: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Turns, rate in degrees/s and spread of the turns (T,): what frames measure near the course, locally fitted.

    `ways` (T, 4) angles by fault; the likeliest fault of a frame says which is meant, as long as it is near the course.
    """
    path = 2 * np.pi * np.interp(t_s, t_s[rows], course.turns)
    doubt = np.interp(t_s, t_s[rows], 2 * np.pi * course.sd)
    faults = course.faults[np.searchsorted(rows, np.arange(len(t_s))).clip(0, len(rows) - 1)]
    apart = ways - 2 * np.pi * start - path[:, None]
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
    return turns / (2 * np.pi), np.degrees(rate), np.hypot(err, _FLOOR_SD) / (2 * np.pi)


def _told(
    frames: int,
    first: int,
    off: int,
    axis: Floats,
    rolled: somersault.Course,
    turned: tuple[Floats, Floats, Floats],
    spun: twist.Course,
    twisted: tuple[Floats, Floats, Floats],
) -> Turning:
    counts = _counts(rolled, spun)
    count = max(rolled.halves, key=lambda key: rolled.halves[key])[0]
    facing, half = max(spun.halves, key=lambda key: spun.halves[key])
    sense = 1 if (count or turned[0][-1]) >= 0 else -1
    twist_sense = 1 if half >= 0 else -1

    def whole(values: Floats) -> Floats:
        found = np.full(frames, np.nan)
        found[first : first + len(values)] = values
        return found

    start = facing / 2
    return Turning(
        axis, sense, twist_sense,
        whole(sense * turned[0]), whole(twist_sense * (twisted[0] - start)),
        whole(sense * turned[1]), whole(twist_sense * twisted[1]),
        Estimate(float(sense * turned[0][-1]), float(turned[2][-1])),
        Estimate(float(twist_sense * (twisted[0][-1] - start)), float(twisted[2][-1])),
        counts,
    )  # fmt: skip


_AGREE: Final = 0.9
"""Probability that the chest looks where the folding of the trunk says, after all twists."""


def _counts(rolled: somersault.Course, spun: twist.Course) -> dict[tuple[int, int, int], float]:
    """Joint probabilities: somersault and twist agree on the side to which the body folds."""
    found: dict[tuple[int, int, int], float] = {}
    for (half, fold), of_half in rolled.halves.items():
        for (facing, twisted), of_twist in spun.halves.items():
            agrees = ((facing + twisted) % 2 == 0) == (fold > 0)
            key = (half, facing, abs(twisted))
            found[key] = found.get(key, 0.0) + of_half * of_twist * (_AGREE if agrees else 1 - _AGREE)
    total = sum(found.values())
    return {
        key: value / total for key, value in sorted(found.items(), key=lambda pair: -pair[1]) if value > 1e-6 * total
    }
