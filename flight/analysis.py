"""From a motion that flies to the report of a dive, or of a jump: every quantity with what it may be off by.

What is known of the ends and the parabola (`flight.moments`), of the turning (`flight.turning`) and of the shape
(`flight.posture`) is put together here, and what should not be trusted is said.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight import mass
from flight.contact import ANKLES, WRISTS
from flight.fall import GRAVITY_M_S2
from flight.moments import DROP_M, Flight, flight_of
from flight.motion import Motion
from flight.number import doubtful, numbers, rounded
from flight.phases import Moment
from flight.posture import Posture, posture
from flight.quantities import (
    ACROSS_SD_M_S,
    SHOULDERS,
    above_board,
    above_water,
    apex_s,
    before_entry,
    body_line,
    clearance,
    distance_apex,
    distance_entry,
    speeds,
    stature,
    unseen_s,
)
from flight.report import POSITIONS, Curves, Dive, DiveReport, Estimate, Flag, Jump, JumpReport
from flight.sides import repaired
from flight.standpoint import Standpoint
from flight.turning import Turning, local_fits, turning

Floats = NDArray[np.float64]
Told = Dive | Jump

BEFORE_S: Final = 0.5
AFTER_S: Final = 0.3
"""What the curves show beyond the flight."""
_JUMP: Final = (0.25, 0.75)
"""Share of a jump's flight after which it is highest."""
_LEAST_CONSISTENCY: Final = 0.6
_LOST_S: Final = 0.06
_MASSES: Final = mass.points(0.5)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the report is put together from."""

    flight: Flight
    turned: Turning
    shape: Posture
    momentum: Floats
    head_first: float
    repaired: float


def told_of(
    motion: Motion,
    seq: NDArray[np.int64],
    off: Moment,
    entry: Moment,
    standpoint: Standpoint,
    doubt: float,
) -> Told | None:
    """The dive or jump of `motion` (T frames numbered `seq`) between two moments that the fall told.

    `standpoint`: how the camera stands that saw it; `doubt`: relative uncertainty of lengths. None where the motion is
    no flight after all, or too little of it was seen.
    """
    view = motion.joints_world_m[:, 0] - standpoint.world_from_cam[:3, 3]
    mended = repaired(motion, view)
    rise_m = float(np.nan_to_num(np.interp(off.t_s, motion.t_s, view[:, 2])))
    found = flight_of(mended.motion, off, entry, standpoint.board, doubt, rise_m)
    if found is None or found.last - found.first < 8:
        return None
    inside = slice(found.first, found.last + 1)
    parts = _parts(found, _turned_with(found, motion, view), float(np.mean(mended.mirrored[inside])))
    if parts is None:
        return None
    curves = _curves(parts, seq)
    if _dived(found):
        return Dive(_dive_report(parts, seq, standpoint), curves)
    return Jump(_jump_report(parts, seq, standpoint), curves) if _jumped(found) else None


def _turned_with(flight: Flight, motion: Motion, view_world: Floats) -> Floats:
    """The camera's view (T, 3) in the flight's axes, into which the motion was perhaps turned."""
    if flight.board is not None:
        return view_world
    before, after = motion.joints_world_m, flight.motion.joints_world_m
    frame = int(np.flatnonzero(np.isfinite(before).all(axis=(1, 2)))[0])
    a, b = (pose - pose.mean(axis=0) for pose in (before[frame], after[frame]))
    u, _, v = np.linalg.svd(a.T @ b)
    return np.asarray(view_world @ (u @ v))


def _parts(flight: Flight, view: Floats, share_repaired: float) -> _Parts | None:
    motion = flight.motion
    first, last = flight.first, flight.last
    out = np.array([flight.course.velocity_m_s[0], flight.course.velocity_m_s[1], 0.0])
    outward = np.array([1.0, 0.0, 0.0]) if flight.board is not None or np.linalg.norm(out) < 1e-6 else out
    speed = float(np.linalg.norm(out))
    spread = 0.1 if flight.board is not None else float(np.arctan2(ACROSS_SD_M_S, speed))
    head_first = _head_first(flight)
    try:
        turned = turning(motion, first, last, outward, spread, view, flight.armstand, head_first)
        shape = posture(motion, first, last, turned.twist.value)
    except ValueError:
        return None
    return _Parts(flight, turned, shape, _momentum(flight), head_first, share_repaired)


def _head_first(flight: Flight) -> float:
    """Probability that the hands meet the water first: by what is lower at the end."""
    rows = before_entry(flight)
    joints = flight.motion.joints_world_m[rows]
    reach = float(np.nanmedian(joints[:, ANKLES, 2].mean(axis=1) - joints[:, WRISTS, 2].mean(axis=1)))
    trunk = float(np.nanmedian(joints[:, 0, 2] - joints[:, SHOULDERS, 2].mean(axis=1)))
    return float(1 / (1 + np.exp(-4.0 * (reach + 1.5 * trunk))))


def _dived(flight: Flight) -> bool:
    """Whether the flight ends in the water, as far as that is known."""
    start, end = (float(flight.course.at(moment.t_s)[2]) for moment in (flight.off, flight.entry))
    return start - end >= DROP_M


def _jumped(flight: Flight) -> bool:
    """Whether it went up and came down again: a crouch only goes down."""
    time_s = flight.entry_fall.t_s - flight.off_fall.t_s
    share = (flight.course.apex_s - flight.off_fall.t_s) / time_s
    return _JUMP[0] <= share <= _JUMP[1]


def _momentum(flight: Flight) -> Floats:
    """Size (T,) of the angular momentum about the centre of gravity per unit of mass; NaN outside the flight."""
    found = np.full(len(flight.motion), np.nan)
    known = np.flatnonzero(flight.flying & np.isfinite(flight.centre_m).all(axis=1))
    if len(known) < 6:
        return found
    joints = flight.motion.joints_world_m[known]
    points = _MASSES.from_joints @ joints - flight.centre_m[known][:, None]
    t = flight.motion.t_s[known]
    flat = points.reshape(len(t), -1)
    speeds = np.stack([local_fits(t, column, np.ones_like(t), 0.16)[1] for column in flat.T], axis=1)
    momentum = _MASSES.angular_momentum(points, speeds.reshape(points.shape))
    found[known] = np.linalg.norm(momentum, axis=1)
    return found


def _consistency(momentum: Floats) -> float:
    known = momentum[np.isfinite(momentum)]
    if len(known) < 6 or known.mean() <= 0:
        return float("nan")
    middle = known[len(known) // 10 : len(known) - len(known) // 10]
    return float(np.clip(1 - middle.std() / middle.mean(), 0, 1))


def _curves(parts: _Parts, seq: NDArray[np.int64]) -> Curves:
    flight, turned, shape = parts.flight, parts.turned, parts.shape
    t = flight.motion.t_s
    rows = (t >= flight.off.t_s - BEFORE_S) & (t <= flight.entry.t_s + AFTER_S)
    positions = tuple(None if k < 0 else POSITIONS[k] for k in shape.classes[rows].tolist())
    return Curves(
        t[rows], seq[rows], flight.flying[rows], flight.motion.joints_world_m[rows], flight.centre_m[rows],
        flight.course.at(t[rows]), turned.somersault_turns[rows], turned.twist_turns[rows],
        turned.somersault_deg_s[rows], turned.twist_deg_s[rows], shape.hip_deg[rows], shape.knee_deg[rows],
        parts.momentum[rows], positions,
    )  # fmt: skip


def _jump_report(parts: _Parts, seq: NDArray[np.int64], standpoint: Standpoint) -> JumpReport:
    flight = parts.flight
    time_s = flight.entry_fall.t_s - flight.off_fall.t_s
    sd_s = float(np.hypot(flight.entry_fall.sd_s, flight.off_fall.sd_s))
    height = GRAVITY_M_S2 * time_s**2 / 8
    return JumpReport(
        world=standpoint.world,
        first_seq=int(seq[flight.first]),
        last_seq=int(seq[flight.last]),
        take_off_s=Estimate(flight.off_fall.t_s, flight.off_fall.sd_s),
        landing_s=Estimate(flight.entry_fall.t_s, flight.entry_fall.sd_s),
        flight_time_s=Estimate(time_s, sd_s),
        height_m=Estimate(height, 2 * height * sd_s / time_s),
        somersaults_turned=parts.turned.somersault,
        twists_turned=parts.turned.twist,
        flags=_flags(parts, standpoint),
    )


def _dive_report(parts: _Parts, seq: NDArray[np.int64], standpoint: Standpoint) -> DiveReport:
    flight, turned, shape = parts.flight, parts.turned, parts.shape
    somersaults, twists = rounded(turned)
    guesses = numbers(turned, shape, float(flight.armstand), _outward_sure(flight), flight.height_m)
    off, entry, fast, near = flight.off, flight.entry, speeds(flight), clearance(flight)
    flying, end, head_first = flight.flying, before_entry(flight), parts.head_first > 0.5
    opening_s = None if shape.opening is None else float(flight.motion.t_s[shape.opening])
    angle, lean = body_line(flight, head_first)
    return DiveReport(
        world=standpoint.world,
        first_seq=int(seq[flight.first]),
        last_seq=int(seq[flight.last]),
        board_height_m=flight.height_m,
        board_kind=None if flight.board is None else flight.board.kind,
        take_off_s=Estimate(off.t_s, off.sd_s),
        entry_s=Estimate(entry.t_s, entry.sd_s),
        flight_time_s=Estimate(entry.t_s - off.t_s, float(np.hypot(off.sd_s, entry.sd_s))),
        take_off_fall_s=Estimate(flight.off_fall.t_s, flight.off_fall.sd_s),
        entry_fall_s=Estimate(flight.entry_fall.t_s, flight.entry_fall.sd_s),
        speed_up_m_s=fast.up_m_s,
        speed_out_m_s=fast.out_m_s,
        take_off_speed_m_s=fast.off_m_s,
        take_off_angle_deg=fast.off_deg,
        apex_s=apex_s(flight),
        rise_m=fast.rise_m,
        apex_above_board_m=above_board(flight, apex_s(flight)),
        apex_above_water_m=above_water(flight, apex_s(flight)),
        distance_apex_m=distance_apex(flight),
        distance_entry_m=distance_entry(flight),
        clearance_m=None if near is None else near.least_m,
        clearance_joint="" if near is None else near.joint,
        clearance_s=None if near is None else near.t_s,
        entry_speed_m_s=fast.entry_m_s,
        somersaults=somersaults,
        somersaults_turned=turned.somersault,
        twists=twists,
        twists_turned=turned.twist,
        peak_somersault_deg_s=_peak(turned.somersault_deg_s[flying]),
        mean_somersault_deg_s=360 * turned.somersault.value / max(entry.t_s - off.t_s, 1e-6),
        peak_twist_deg_s=_peak(turned.twist_deg_s[flying]),
        position=POSITIONS["ABCD".index(guesses[0].code[-1])] if guesses else shape.position,
        position_shares=shape.shares,
        least_hip_deg=shape.least_hip_deg,
        least_knee_deg=shape.least_knee_deg,
        opening_s=opening_s,
        opening_above_water_m=None if opening_s is None else above_water(flight, opening_s),
        entry_angle_deg=Estimate(angle.value * turned.sense, angle.sd),
        entry_lean_deg=lean,
        entry_hip_deg=float(np.nanmedian(shape.hip_deg[end])),
        entry_knee_deg=float(np.nanmedian(shape.knee_deg[end])),
        head_first=head_first,
        momentum_consistency=_consistency(parts.momentum),
        stature_m=stature(flight),
        numbers=guesses,
        flags=_flags(parts, standpoint),
    )


def _peak(rates: Floats) -> float:
    """Largest rate but for the last of a hundred frames, which noise may have made."""
    known = np.abs(rates[np.isfinite(rates)])
    return float(np.percentile(known, 98)) if len(known) else float("nan")


def _outward_sure(flight: Flight) -> float:
    """Probability that the flight goes away from the board as it was taken to: sure where a board is known."""
    if flight.board is not None:
        return 1.0
    speed = float(np.linalg.norm(flight.course.velocity_m_s[:2]))
    return float(1 / (1 + np.exp(-2 * speed / ACROSS_SD_M_S)))


def _flags(parts: _Parts, standpoint: Standpoint) -> tuple[Flag, ...]:
    """What not to trust, and why."""
    flight, turned = parts.flight, parts.turned
    unsure_somersaults, unsure_twists = doubtful(turned)
    seen = np.isfinite(flight.motion.joints_world_m[flight.first : flight.last + 1]).all(axis=(1, 2))
    consistency = _consistency(parts.momentum)
    apart = abs(flight.off.t_s - flight.off_fall.t_s) > 0.1 or abs(flight.entry.t_s - flight.entry_fall.t_s) > 0.12
    told = (
        (standpoint.world != "metric", "not_calibrated",
         "The camera was not calibrated: heights, distances and speeds are estimates from the fall itself."),
        (flight.board is None and _dived(flight), "no_board",
         "The board's place is not known: distances from it and the clearance cannot be told."),
        (unsure_somersaults, "somersaults", "The turn that was measured lies between two counts of half somersaults."),
        (unsure_twists, "twists", "The twist that was measured lies between two counts of half twists."),
        (rounded(turned)[1] > 0, "twist_count",
         "Twists that are counted from pictures are often a whole twist too few: look at the dive."),
        (bool(np.mean(seen) < 0.8), "unseen", f"The body was seen in {np.mean(seen):.0%} of the flight only."),
        (consistency < _LEAST_CONSISTENCY, "momentum",
         "The angular momentum is not constant as it should be: the poses of this flight are rough."),
        (unseen_s(flight) > _LOST_S, "entry_unseen",
         "The body was lost before the entry: its moment is that of the fall, its angle a guess."),
        (parts.repaired > 0.25, "depth",
         f"In {parts.repaired:.0%} of the flight front and back were exchanged and had to be put right."),
        (apart, "moments", "Contact and fall tell different moments of take-off or entry."),
        (flight.course.doubt > 0.05, "distance", "How far away the body was is uncertain by more than 5 %."),
    )  # fmt: skip
    return tuple(Flag(key, text) for wrong, key, text in told if wrong)
