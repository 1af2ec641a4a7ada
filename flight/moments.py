"""A flight's two ends and its parabola in the world: when, where and how fast, with what each may be off by."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.venue import Board
from flight import mass
from flight.contact import (
    ANKLES,
    CENTRE_OFF_M,
    CENTRE_OFF_SD_M,
    ON_HANDS_M,
    ON_TIPTOE_M,
    WRISTS,
    both,
    left_board,
    met_water,
)
from flight.course import Course, fitted_course
from flight.fall import GRAVITY_M_S2
from flight.motion import Motion
from flight.phases import Moment

Floats = NDArray[np.float64]

HEIGHTS_M: Final = (1.0, 3.0, 5.0, 7.5, 10.0)
"""Of springboards and platforms above the water."""
DROP_M: Final = 0.7
"""Who ends so far below where he began has dived: from a board of 1 m, stretched onto the hands, by 0.9 m."""
_LEVEL_OFF: Final = 0.2
"""A drop within this share of a board's height is taken for that board's."""
_FALL_FLOOR_S: Final = 0.02
"""What the fall alone may be off by at its ends: bodies do not leave a board at an instant."""
_FADING_S: Final = 0.025
"""A platform does not spring: so long before toes or hands leave it they press hardly any more (generated dives)."""
_LATE_S: Final = 0.05
"""By so much water lets a body fall on before it slows it: feet and hands are wet, the trunk is not."""
_UP_S: Final = 0.15
_SOUGHT_S: Final = 0.3
"""The water is met from so long after the take-off to so long after the fall seems over."""
_REACH_M: Final = (1.0, 0.15)
"""From the centre of gravity to the wrists or ankles of a body that enters the water stretched, and its deviation."""
_LEVEL_SD_M: Final = 0.3
"""What the water's level is off by where it was told from the drop alone."""
_MASSES: Final = mass.points(0.5)


@dataclass(frozen=True, slots=True)
class Flight:
    """A flight in the axes of its board: origin at the edge, x outward, z up. `motion` reaches beyond its ends.

    `off_fall`, `entry_fall` are the ends by the fall alone, `off`, `entry` with what feet, hands and water say. `board`
    None: none is known; `height_m` is then that of the board the drop fits, or None.
    """

    motion: Motion
    centre_m: Floats
    course: Course
    off_fall: Moment
    entry_fall: Moment
    off: Moment
    entry: Moment
    armstand: bool
    board: Board | None
    height_m: float | None

    @property
    def flying(self) -> NDArray[np.bool_]:
        """(T,) frames in the air."""
        return (self.motion.t_s >= self.off.t_s) & (self.motion.t_s <= self.entry.t_s)

    @property
    def first(self) -> int:
        """The frame at the take-off."""
        return int(np.argmin(np.abs(self.motion.t_s - self.off.t_s)))

    @property
    def last(self) -> int:
        """The last frame in the air."""
        return max(self.first, int(np.searchsorted(self.motion.t_s, self.entry.t_s, side="right")) - 1)


def centre_of(joints_m: Floats) -> Floats:
    """Centre of gravity (..., 3) of joints (..., 17, 3), of a body between man's and woman's."""
    return _MASSES.centre(joints_m)


def flight_of(
    motion: Motion, off: Moment, entry: Moment, board: Board | None, doubt: float, view_z_m: float
) -> Flight | None:
    """The flight between two moments that the fall told; None where too little of it was seen.

    `doubt` is the relative uncertainty of the motion's lengths, `view_z_m` how far above the camera it takes off.
    Without a board the motion is moved so that the feet leave at height 0 and turned so that it goes along x.
    """
    course = _course(motion, off, entry, doubt)
    if course is None or not np.isfinite(motion.joints_world_m).all(axis=(1, 2)).any():
        return None
    armstand = _on_hands(motion, off.t_s)
    if board is None:
        motion = _as_on_a_board(motion, course, off.t_s, armstand)
        course = _course(motion, off, entry, doubt)
        if course is None:
            return None
    height = board.height_m if board is not None else _likely_height(motion, course, entry.t_s)
    off, entry = _floored(off), _floored(entry)
    flight = Flight(motion, centre_of(motion.joints_world_m), course, off, entry, off, entry, armstand, board, height)
    return _touched(flight, view_z_m)


def _course(motion: Motion, off: Moment, entry: Moment, doubt: float) -> Course | None:
    rows = (motion.t_s >= off.t_s) & (motion.t_s <= entry.t_s - _LATE_S)
    return fitted_course(motion.t_s[rows], centre_of(motion.joints_world_m[rows]), doubt)


def _floored(moment: Moment) -> Moment:
    return replace(moment, sd_s=float(np.hypot(moment.sd_s, _FALL_FLOOR_S)))


def _near(motion: Motion, t_s: float, half_s: float = 0.06) -> NDArray[np.bool_]:
    known = np.isfinite(motion.joints_world_m).all(axis=(1, 2))
    near = known & (np.abs(motion.t_s - t_s) <= half_s)
    if not near.any():
        near = known & (np.abs(motion.t_s - t_s) == np.abs(motion.t_s - t_s)[known].min())
    return np.asarray(near)


def _on_hands(motion: Motion, off_s: float) -> bool:
    """Whether the hands are below the feet before the take-off."""
    before = motion.joints_world_m[_near(motion, off_s - 0.1, 0.12)]
    hands, feet = before[:, WRISTS, 2].mean(), before[:, ANKLES, 2].mean()
    return bool(hands < feet - 0.5)


def _as_on_a_board(motion: Motion, course: Course, off_s: float, armstand: bool) -> Motion:
    """The motion with its take-off at the origin, going along x."""
    support, lift = (WRISTS, ON_HANDS_M) if armstand else (ANKLES, ON_TIPTOE_M)
    feet = np.median(motion.joints_world_m[_near(motion, off_s)][:, support].mean(axis=1), axis=0)
    feet = feet - np.array([0.0, 0.0, lift])
    out = course.velocity_m_s[:2] / max(float(np.linalg.norm(course.velocity_m_s[:2])), 1e-9)
    turn = np.array([[out[0], out[1], 0.0], [-out[1], out[0], 0.0], [0.0, 0.0, 1.0]])
    return Motion(motion.t_s, (motion.joints_world_m - feet) @ turn.T, motion.joints_sd_m)


def _likely_height(motion: Motion, course: Course, entry_fall_s: float) -> float | None:
    """The height of the board whose water would be where the body began to slow; None where none fits."""
    rows = _near(motion, entry_fall_s - _LATE_S)
    reach = (motion.joints_world_m[rows][..., 2].min(axis=1) - centre_of(motion.joints_world_m[rows])[:, 2]).min()
    drop = -float(course.at(entry_fall_s - _LATE_S)[2] + reach)
    nearest = min(HEIGHTS_M, key=lambda height: abs(np.log(max(drop, 0.1) / height)))
    return nearest if abs(drop - nearest) <= max(_LEVEL_OFF * nearest, 0.5) else None


def _touched(flight: Flight, view_z_m: float) -> Flight:
    """The ends by what leaves the board last and meets the water first, where the levels are known."""
    motion, course = flight.motion, flight.course
    # Heights by the fall, so that a frame's own place adds no noise: only its pose does.
    relative = motion.joints_world_m - flight.centre_m[:, None]
    by_fall = relative[..., 2] + course.at(motion.t_s)[:, None, 2]
    noise = float(np.nanmedian(motion.joints_sd_m))
    off, entry = flight.off_fall, flight.entry_fall
    if flight.board is not None:
        off = _left(flight, flight.board, noise, view_z_m)
    if flight.height_m is not None:
        falling = (motion.t_s >= off.t_s + _UP_S) & (motion.t_s <= flight.entry_fall.t_s + _SOUGHT_S)
        lowest = np.where(falling, by_fall.min(axis=1), np.nan)
        speed = float(course.velocity_at(flight.entry_fall.t_s)[2])
        touched = met_water(motion.t_s, lowest, -flight.height_m, speed, noise) or _foretold(flight, lowest)
        if touched is not None:
            level_sd = course.doubt * abs(view_z_m) if flight.board is not None else _LEVEL_SD_M
            touched = replace(touched, sd_s=float(np.hypot(touched.sd_s, level_sd / abs(speed))))
        entry = touched or entry
    return replace(flight, off=off, entry=entry)


def _foretold(flight: Flight, lowest_m: Floats) -> Moment | None:
    """The entry of a body that was lost above the water: by its parabola, and as divers enter, stretched. None where it
    was seen afterwards."""
    assert flight.height_m is not None
    seen = np.flatnonzero(np.isfinite(lowest_m))
    if not len(seen) or np.isfinite(flight.centre_m[seen[-1] + 1 :]).any() or lowest_m[seen[-1]] < -flight.height_m:
        return None
    drop = float(flight.course.at(flight.course.apex_s)[2]) + flight.height_m - _REACH_M[0]
    if drop <= 0:
        return None
    speed = float(np.sqrt(2 * GRAVITY_M_S2 * drop))
    return Moment(flight.course.apex_s + speed / GRAVITY_M_S2, _REACH_M[1] / speed)


def _left(flight: Flight, board: Board, noise: float, view_z_m: float) -> Moment:
    """The take-off by the fall, by how high its centre of gravity was, and by the level of what stood on the board."""
    motion, off = flight.motion, flight.off_fall
    if board.kind == "platform":
        off = Moment(off.t_s + _FADING_S, off.sd_s)
    support, level = (WRISTS, ON_HANDS_M) if flight.armstand else (ANKLES, ON_TIPTOE_M)
    heights = motion.joints_world_m[:, support, 2].mean(axis=1)
    rise = float(flight.course.velocity_at(off.t_s)[2])
    level_sd = flight.course.doubt * abs(view_z_m)
    off = both(off, _at_height(flight.course, level_sd)) or off
    return both(off, left_board(motion.t_s, heights, rise, level, noise, level_sd, off.t_s)) or off


def _at_height(course: Course, level_sd_m: float) -> Moment | None:
    """When the rising centre of gravity was as high over the board as it is when toes or hands leave that."""
    above = float(course.at(course.apex_s)[2]) - CENTRE_OFF_M
    if above <= 0:
        return None
    speed = float(np.sqrt(2 * GRAVITY_M_S2 * above))
    return Moment(course.apex_s - speed / GRAVITY_M_S2, float(np.hypot(CENTRE_OFF_SD_M, level_sd_m)) / speed)
