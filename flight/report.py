"""What is told of a dive: quantities with their uncertainty, and what not to trust. Also the wire's form of it.

Angles in degrees, lengths in metres, times in seconds of the recording. World: z up; at a calibrated venue the origin
is the middle of the board's front edge, x along the board over the water, y to its left. Without a known board it is
where the feet left, x along the flight, and what needs the board is absent; without calibration all lengths are
estimates from the body's own fall.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REPORT_SCHEMA: Final = 1
Phase = Literal["idle", "board", "flight", "entry", "water"]
"""What an athlete is doing; idle: nobody is there, board: not in the air (yet)."""
Position = Literal["straight", "pike", "tuck", "free"]
POSITIONS: Final[tuple[Position, ...]] = ("straight", "pike", "tuck", "free")


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """A value and its standard deviation, in the same unit."""

    value: float
    sd: float


class NumberGuess(msgspec.Struct, frozen=True, array_like=True):
    """A dive number such as 107B and its posterior probability."""

    code: str
    probability: float


class Flag(msgspec.Struct, frozen=True, array_like=True):
    """Why something is not to be trusted: a stable key for programs, a sentence for people."""

    key: str
    text: str


class DiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """One dive, from take-off to entry. What could not be found is None and usually has a flag."""

    schema: int = REPORT_SCHEMA
    world: Literal["metric", "estimated"]
    """metric: with a calibrated camera; estimated: with a guessed one."""
    first_seq: int
    last_seq: int
    """Frames of take-off and entry."""
    board_height_m: float | None = None
    board_kind: Literal["springboard", "platform"] | None = None
    """Of a board that is known; the height may also be judged by the fall."""

    take_off_s: Estimate
    entry_s: Estimate
    flight_time_s: Estimate
    take_off_fall_s: Estimate
    entry_fall_s: Estimate
    """The same two moments by the fall alone, without contact with board or water: they should agree within 0.1 s."""

    speed_up_m_s: Estimate
    speed_out_m_s: Estimate
    take_off_speed_m_s: Estimate
    take_off_angle_deg: Estimate
    """Of the centre of gravity, above the horizontal."""
    apex_s: float
    rise_m: Estimate
    """Of the centre of gravity from the take-off to the apex."""
    apex_above_board_m: Estimate | None = None
    apex_above_water_m: Estimate | None = None
    distance_apex_m: Estimate | None = None
    distance_entry_m: Estimate | None = None
    """Of the centre of gravity, and of what touches the water first, from the board's edge, horizontally."""
    clearance_m: Estimate | None = None
    """Least distance of any joint from the board between apex and entry; `clearance_joint` names it."""
    clearance_joint: str = ""
    clearance_s: float | None = None
    entry_speed_m_s: Estimate

    somersaults: float
    somersaults_turned: Estimate
    twists: float
    twists_turned: Estimate
    """Turns; the rounded ones to the nearest half that the take-off and entry allow."""
    peak_somersault_deg_s: float
    mean_somersault_deg_s: float
    peak_twist_deg_s: float

    position: Position
    position_shares: dict[str, float]
    """Share of the flight's middle 60 % in each of straight, pike, tuck, free."""
    least_hip_deg: float
    least_knee_deg: float
    opening_s: float | None = None
    opening_above_water_m: Estimate | None = None
    """When and how high the body opens for the entry; None for a dive that never folds."""

    entry_angle_deg: Estimate
    """Body line against the vertical in the plane of the flight: positive leans over (past the vertical in the sense of
    the somersault), negative is short."""
    entry_lean_deg: Estimate
    """The same sideways, positive to the diver's world left (y)."""
    entry_hip_deg: float
    entry_knee_deg: float
    head_first: bool

    momentum_consistency: float
    """1 - standard deviation over mean of the angular momentum about the centre of gravity; 1 in perfect flight."""
    stature_m: Estimate | None = None
    numbers: tuple[NumberGuess, ...] = ()
    """Likeliest first."""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Curves:
    """The dive frame by frame, T frames from just before the take-off to just after the entry. NaN: not known."""

    t_s: Floats
    """(T,)"""
    seq: NDArray[np.int64]
    """(T,)"""
    flying: NDArray[np.bool_]
    """(T,) between take-off and entry."""
    joints_world_m: Floats
    """(T, 17, 3)"""
    centre_world_m: Floats
    """(T, 3) centre of gravity as measured."""
    fall_world_m: Floats
    """(T, 3) centre of gravity by the fitted fall."""
    somersault_turns: Floats
    """(T,) since the take-off, positive in the sense of the dive."""
    twist_turns: Floats
    somersault_deg_s: Floats
    twist_deg_s: Floats
    hip_deg: Floats
    """(T,) 180 is straight; mean of both sides."""
    knee_deg: Floats
    momentum_m2_s: Floats
    """(T,) size of the angular momentum about the centre of gravity, per unit of mass."""
    positions: tuple[Position | None, ...] = ()
    """(T,) position of every frame, None before take-off and after entry; empty where it was not told."""


@dataclass(frozen=True, slots=True)
class Dive:
    """A report with the curves behind it."""

    report: DiveReport
    curves: Curves


class JumpReport(msgspec.Struct, frozen=True, kw_only=True):
    """One flight of another sport: trampoline, gymnastics, athletics. Units as in DiveReport."""

    schema: int = REPORT_SCHEMA
    world: Literal["metric", "estimated"]
    first_seq: int
    last_seq: int
    """Frames of take-off and landing."""
    take_off_s: Estimate
    landing_s: Estimate
    flight_time_s: Estimate
    height_m: Estimate
    """Of the centre of gravity above the take-off, g T^2 / 8: for a landing in the posture of the take-off."""
    somersaults_turned: Estimate
    twists_turned: Estimate
    contact_s: float | None = None
    """Time on the ground or the bed since the landing before; None for the first flight."""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump's report with the curves behind it."""

    report: JumpReport
    curves: Curves
