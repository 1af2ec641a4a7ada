"""Dive reports without a pipeline: simulated dives whose every quantity is known, as `flight.report` tells them."""

import dataclasses
from functools import cache

import msgspec
import numpy as np

from engines.skeleton import JOINT_NAMES
from flight import mass
from flight.code import POSITIONS as LETTERS
from flight.report import POSITIONS, Curves, Dive, DiveReport, Estimate, Flag, Jump, JumpReport, NumberGuess
from training.synth import dive as synth
from training.synth import report as truth
from training.synth.poses import joints_of

BEFORE_S, AFTER_S = 0.2, 0.16
SEEN_SD = {"s": 0.012, "m": 0.03, "m_s": 0.05, "deg": 0.9, "turns": 0.02}
"""Typical uncertainties, so that a page shows them."""


def true_dive(code, height_m=3.0, seed=None, rate_hz=50.0, noise_m=0.0):
    """The exact report of a simulated dive, with curves of its joints (noisy if asked)."""
    dived = simulated(code, height_m, seed, rate_hz)
    told = truth.of(dived)
    curves = curves_of(dived, np.random.default_rng(0 if seed is None else seed), noise_m)
    return Dive(report_of(dived, told, curves), curves)


@cache
def simulated(code, height_m, seed, rate_hz):
    return synth.Dive.from_code(code, height_m, joints_of, rate_hz, seed)


def curves_of(dived, rng, noise_m):
    start, end = dived.events_s["take_off"], dived.events_s["entry"]
    rows = (dived.t_s >= start - BEFORE_S) & (dived.t_s <= end + AFTER_S)
    t_s = dived.t_s[rows]
    flying = (t_s >= start) & (t_s <= end)
    joints = dived.joints_world_m[rows] + rng.normal(0, noise_m, (int(rows.sum()), 17, 3))
    turned = truth.curves(dived)
    sign = 1.0 if dived.code.turns_outward else -1.0
    since = int(np.flatnonzero(rows)[0] + np.flatnonzero(flying)[0])
    somersault, twist = turned.somersault_turns, turned.twist_turns
    hip, knee = truth.bends_deg(joints)
    body = mass.points(dived.plan.female)
    fall = dived.centre_world_m[rows]
    points = body.from_joints @ (dived.joints_world_m - dived.centre_world_m[:, None])
    momentum = body.angular_momentum(points, np.gradient(points, dived.t_s, axis=0))
    return Curves(
        t_s=t_s,
        seq=np.flatnonzero(rows),
        flying=flying,
        joints_world_m=joints,
        centre_world_m=body.centre(joints),
        fall_world_m=np.where(flying[:, None], fall, np.nan),
        somersault_turns=sign * (somersault - somersault[since])[rows],
        twist_turns=(twist - twist[since])[rows],
        somersault_deg_s=sign * turned.somersault_deg_s[rows],
        twist_deg_s=turned.twist_deg_s[rows],
        hip_deg=hip,
        knee_deg=knee,
        momentum_m2_s=np.linalg.norm(momentum, axis=-1)[rows],
        positions=tuple(position_of(h, k) if f else None for h, k, f in zip(hip, knee, flying, strict=True)),
    )


def position_of(hip_deg, knee_deg):
    if hip_deg > 150 and knee_deg > 150:
        return "straight"
    if hip_deg < 120:
        return "pike" if knee_deg > 150 else "tuck" if knee_deg < 120 else "free"
    return "free"


def seen(value, unit):
    return Estimate(float(value), SEEN_SD[unit])


def report_of(dived, told, curves):
    start, entry = told["take_off_s"], told["entry_s"]
    at_entry = int(np.flatnonzero(curves.flying)[-1])
    falling = curves.flying & (curves.t_s >= told["apex_s"])
    off = synth.off_board_m(curves.joints_world_m[falling])
    nearest = np.unravel_index(off.argmin(), off.shape)
    lowest = curves.joints_world_m[at_entry, :, 2].argmin()
    sign = 1 if dived.code.turns_outward else -1
    opening = opening_row(curves)
    middle = slice(*(np.flatnonzero(curves.flying)[[0, -1]] + np.array([1, -1]) * int(0.2 * curves.flying.sum())))
    classes = curves.positions[middle]
    return DiveReport(
        world="metric",
        first_seq=int(curves.seq[curves.flying][0]),
        last_seq=int(curves.seq[curves.flying][-1]),
        board_height_m=dived.plan.height_m,
        take_off_s=seen(start, "s"),
        entry_s=seen(entry, "s"),
        flight_time_s=seen(told["flight_time_s"], "s"),
        take_off_fall_s=seen(start - 0.021, "s"),
        entry_fall_s=seen(entry + 0.014, "s"),
        speed_up_m_s=seen(told["speed_up_m_s"], "m_s"),
        speed_out_m_s=seen(told["speed_out_m_s"], "m_s"),
        take_off_speed_m_s=seen(np.hypot(told["speed_up_m_s"], told["speed_out_m_s"]), "m_s"),
        take_off_angle_deg=seen(np.degrees(np.arctan2(told["speed_up_m_s"], told["speed_out_m_s"])), "deg"),
        apex_s=told["apex_s"],
        rise_m=seen(told["rise_m"], "m"),
        apex_above_board_m=seen(told["apex_above_board_m"], "m"),
        apex_above_water_m=seen(told["water_clear_apex_m"], "m"),
        distance_apex_m=seen(told["centre_take_off_m"][0] + told["speed_out_m_s"] * (told["apex_s"] - start), "m"),
        distance_entry_m=seen(curves.joints_world_m[at_entry, lowest, 0], "m"),
        clearance_m=seen(told["clearance_m"], "m"),
        clearance_joint=JOINT_NAMES[nearest[1]],
        clearance_s=float(curves.t_s[falling][nearest[0]]),
        entry_speed_m_s=seen(told["entry_speed_m_s"], "m_s"),
        somersaults=told["somersaults"],
        somersaults_turned=seen(abs(told["somersault_turned"]), "turns"),
        twists=told["twists"],
        twists_turned=seen(abs(told["twist_turned"]), "turns"),
        peak_somersault_deg_s=told["peak_somersault_deg_s"],
        mean_somersault_deg_s=told["mean_somersault_deg_s"],
        peak_twist_deg_s=told["peak_twist_deg_s"],
        position=told["position"],
        position_shares={name: classes.count(name) / len(classes) for name in POSITIONS},
        least_hip_deg=told["least_hip_deg"],
        least_knee_deg=told["least_knee_deg"],
        opening_s=None if opening is None else float(curves.t_s[opening]),
        opening_above_water_m=None
        if opening is None
        else seen(curves.centre_world_m[opening, 2] + dived.plan.height_m, "m"),
        entry_angle_deg=seen(sign * told["entry_angle_deg"], "deg"),
        entry_lean_deg=seen(told["entry_lean_deg"], "deg"),
        entry_hip_deg=told["entry_hip_deg"],
        entry_knee_deg=told["entry_knee_deg"],
        head_first=told["head_first"],
        momentum_consistency=0.97,
        stature_m=Estimate(1.68, 0.02),
        numbers=(NumberGuess(told["code"], 0.93), NumberGuess(other_number(told["code"]), 0.04)),
    )


def opening_row(curves):
    """The last frame in flight from which the hips only open; None for a body that never folds."""
    folded = np.flatnonzero(curves.flying & (curves.hip_deg < 90))
    return None if not len(folded) else int(folded[-1])


def other_number(code):
    """The same dive in another position."""
    letters = [letter for letter in LETTERS if letter != code[-1]]
    return code[:-1] + letters[1]


def changed(dive, **fields):
    """The dive with other fields of its report."""
    return dataclasses.replace(dive, report=msgspec.structs.replace(dive.report, **fields))


def without_board(dive, board_height_m=None):
    """The same dive seen by a camera that nobody calibrated, with what then follows; the height is a guess."""
    absent = (
        "apex_above_water_m", "distance_apex_m", "distance_entry_m", "clearance_m", "clearance_s",
        "opening_above_water_m", "stature_m",
    )  # fmt: skip
    flags = (
        Flag("not_calibrated", "The camera was not calibrated."),
        Flag("no_board", "The board's place is not known."),
        Flag("unseen", "The body was seen in 71 % of the flight only."),
    )
    return changed(
        dive, world="estimated", board_height_m=board_height_m, clearance_joint="", flags=flags,
        numbers=dive.report.numbers[:1], **dict.fromkeys(absent),
    )  # fmt: skip


def empty(dive):
    """The report with curves of no frame."""
    parts = {field.name: getattr(dive.curves, field.name)[:0] for field in dataclasses.fields(dive.curves)}
    return Dive(dive.report, Curves(**parts))


def jump_of(dive):
    """The flight of a dive told as a jump."""
    report = dive.report
    flight_s = report.flight_time_s.value
    told = JumpReport(
        world="estimated",
        first_seq=report.first_seq,
        last_seq=report.last_seq,
        take_off_s=report.take_off_s,
        landing_s=report.entry_s,
        flight_time_s=report.flight_time_s,
        height_m=seen(9.81 * flight_s**2 / 8, "m"),
        somersaults_turned=report.somersaults_turned,
        twists_turned=report.twists_turned,
        contact_s=0.31,
    )
    return Jump(told, dive.curves)
