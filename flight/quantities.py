"""Single quantities of a dive with what they may be off by: speeds, places, the line of the body at the entry."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, J
from flight.contact import ANKLES, WRISTS
from flight.fall import GRAVITY_M_S2
from flight.moments import Flight
from flight.report import Estimate

Floats = NDArray[np.float64]

ENTRY_POSE_S: Final = 0.1
"""Poses of so long before the entry tell its angles: in the splash none is seen well."""
SHOULDERS: Final = (JOINT_NAMES.index("left_shoulder"), JOINT_NAMES.index("right_shoulder"))
_ANY_DEG: Final = 104.0
"""Standard deviation of an angle of which nothing is known."""
_OPENS_DEG_S2: Final = 3000.0
"""By how much a body may slow its somersault down: when it opens, from 1000 to 400 degrees a second in 0.2 s."""
ACROSS_SD_M_S: Final = 0.25
"""What a horizontal speed may be off by besides its noise: along the line of sight a fall tells it poorly."""
_SLOPE: Final = 3.5
"""Standard deviation of a parabola's slope at its ends, in those of a place in its middle over its length of time."""
_STATURE_SHARE: Final = 1.13
"""Stature over the way from ankle to head joint along the bones: soles and crown lie beyond them."""
_LEGS: Final = ((3, 2), (2, 1), (6, 5), (5, 4))
_SPINE: Final = ((0, 7), (7, 8), (8, 9), (9, 10))


@dataclass(frozen=True, slots=True)
class Speeds:
    """At the take-off: upwards, outwards, both, and the angle above the level; the rise from there; at the entry."""

    up_m_s: Estimate
    out_m_s: Estimate
    off_m_s: Estimate
    off_deg: Estimate
    rise_m: Estimate
    entry_m_s: Estimate


@dataclass(frozen=True, slots=True)
class Clearance:
    """How near which joint came to the board, and when."""

    least_m: Estimate
    joint: str
    t_s: float


def speeds(flight: Flight) -> Speeds:
    """Speeds of the centre of gravity."""
    course, off = flight.course, flight.off
    start, end = course.velocity_at(off.t_s), course.velocity_at(flight.entry.t_s)
    slope_sd = _SLOPE * course.steadied_m / max(flight.entry.t_s - off.t_s, 0.1)
    up_sd = float(np.hypot(slope_sd, GRAVITY_M_S2 * off.sd_s))
    out_sd = float(np.hypot(slope_sd, course.doubt * abs(start[0])))
    up, out = float(start[2]), float(start[0])
    speed = max(float(np.hypot(up, out)), 1e-6)
    angle_sd = float(np.degrees(np.hypot(up_sd * out, out_sd * up) / speed**2))
    return Speeds(
        Estimate(up, up_sd),
        Estimate(out, out_sd),
        Estimate(speed, float(np.hypot(up_sd * up, out_sd * out) / speed)),
        Estimate(float(np.degrees(np.arctan2(up, out))), angle_sd),
        Estimate(max(up, 0.0) ** 2 / (2 * GRAVITY_M_S2), max(up, 0.0) * up_sd / GRAVITY_M_S2),
        Estimate(float(np.linalg.norm(end)), float(np.hypot(slope_sd, GRAVITY_M_S2 * flight.entry.sd_s))),
    )


def apex_s(flight: Flight) -> float:
    """When the centre of gravity is highest in the air."""
    return max(flight.off.t_s, flight.course.apex_s)


def above_board(flight: Flight, t_s: float) -> Estimate:
    """Height of the centre of gravity over the board, or over where the feet left, by the fall."""
    return flight.course.length(float(flight.course.at(t_s)[2]))


def above_water(flight: Flight, t_s: float) -> Estimate | None:
    """The same over the water; None where its level is not known."""
    if flight.height_m is None:
        return None
    return flight.course.length(float(flight.course.at(t_s)[2]) + flight.height_m)


def distance_apex(flight: Flight) -> Estimate | None:
    """Of the centre of gravity from the board's edge at the apex; None without a board."""
    return None if flight.board is None else flight.course.length(float(flight.course.at(apex_s(flight))[0]))


def distance_entry(flight: Flight) -> Estimate | None:
    """Of what meets the water first from the board's edge; None without a board."""
    if flight.board is None:
        return None
    rows = before_entry(flight)
    end = flight.motion.joints_world_m[rows]
    first = WRISTS if end[:, WRISTS, 2].mean() < end[:, ANKLES, 2].mean() else ANKLES
    drift = float(flight.course.velocity_m_s[0]) * (flight.entry.t_s - float(flight.motion.t_s[rows].mean()))
    return flight.course.length(float(end[:, first, 0].mean()) + drift, 2.0)


def clearance(flight: Flight) -> Clearance | None:
    """Least distance of a joint from the board between apex and entry; None without a board."""
    if flight.board is None:
        return None
    times = flight.motion.t_s
    falling = (times >= apex_s(flight)) & (times <= flight.entry.t_s)
    away = _off_board(flight, flight.motion.joints_world_m[falling])
    if not np.isfinite(away).any():
        return None
    frame, joint = divmod(int(np.nanargmin(away)), J)
    nearest = float(away[frame, joint])
    spread = float(np.nanmedian(flight.motion.joints_sd_m[falling]))
    least = Estimate(nearest, float(np.hypot(flight.course.length(nearest).sd, spread)))
    return Clearance(least, JOINT_NAMES[joint].replace("_", " "), float(times[falling][frame]))


def _off_board(flight: Flight, joints_m: Floats) -> Floats:
    """Distance (T, J) of joints (T, J, 3) from the board's upper surface."""
    assert flight.board is not None
    x, y, z = np.moveaxis(joints_m, -1, 0)
    beyond_x = np.maximum(x, 0) + np.maximum(-flight.board.length_m - x, 0)
    beyond_y = np.maximum(np.abs(y) - flight.board.width_m / 2, 0)
    return np.asarray(np.sqrt(beyond_x**2 + beyond_y**2 + z**2))


def before_entry(flight: Flight) -> NDArray[np.bool_]:
    """(T,) the last frames with a body before the entry."""
    times = flight.motion.t_s
    known = np.isfinite(flight.motion.joints_world_m).all(axis=(1, 2)) & (times <= flight.entry.t_s)
    return np.asarray(known & (times >= flight.entry.t_s - unseen_s(flight) - ENTRY_POSE_S))


def unseen_s(flight: Flight) -> float:
    """For how long before the entry no body was seen; the time between two frames is not counted."""
    times = flight.motion.t_s
    known = np.isfinite(flight.motion.joints_world_m).all(axis=(1, 2)) & (times <= flight.entry.t_s)
    step_s = float(np.median(np.diff(times)))
    return max(0.0, flight.entry.t_s - float(times[known][-1]) - step_s) if known.any() else 0.0


def body_line(flight: Flight, head_first: bool) -> tuple[Estimate, Estimate]:
    """Angle of the body's line at the entry from the vertical, along x and along y, degrees.

    The line goes from what meets the water first to the other end. It still turns fast: its angles are read at the
    entry from straight lines through the frames before it. Who was lost before may have turned otherwise since.
    """
    rows = before_entry(flight)
    joints, t = flight.motion.joints_world_m[rows], flight.motion.t_s[rows] - flight.entry.t_s
    feet = joints[:, ANKLES].mean(axis=1)
    lines = feet - joints[:, WRISTS].mean(axis=1) if head_first else joints[:, SHOULDERS].mean(axis=1) - feet
    angle = np.degrees(np.unwrap(np.arctan2(lines[:, 0], lines[:, 2])))
    lean = np.degrees(np.arctan2(lines[:, 1], np.hypot(lines[:, 0], lines[:, 2])))
    length = float(np.median(np.linalg.norm(lines, axis=1)))
    frame_sd = float(np.degrees(np.nanmedian(flight.motion.joints_sd_m[rows]) / length))
    frame_sd = min(float(np.hypot(frame_sd, _OPENS_DEG_S2 / 2 * unseen_s(flight) ** 2)), _ANY_DEG)
    return _at_end(t, angle, frame_sd), _at_end(t, lean, frame_sd)


def _at_end(t: Floats, values: Floats, sd: float) -> Estimate:
    """The value at 0 of the line through values (N,) at times before it, each off by `sd`."""
    if len(t) < 3:
        return Estimate(float(values[-1]), sd)
    (_, value), covariance = np.polyfit(t, values, 1, cov="unscaled")
    return Estimate(float(value), sd * float(np.sqrt(covariance[1, 1])))


def stature(flight: Flight) -> Estimate | None:
    """From ankle to head along the bones, with what lies beyond them; None where too little was seen."""
    joints = flight.motion.joints_world_m[np.isfinite(flight.motion.joints_world_m).all(axis=(1, 2))]
    if len(joints) < 10:
        return None

    def bones(pairs: tuple[tuple[int, int], ...]) -> Floats:
        return np.asarray(np.sum([np.linalg.norm(joints[:, a] - joints[:, b], axis=1) for a, b in pairs], axis=0))

    height = _STATURE_SHARE * float(np.median(bones(_LEGS) / 2 + bones(_SPINE)))
    return Estimate(height, float(np.hypot(flight.course.doubt, 0.03)) * height)
