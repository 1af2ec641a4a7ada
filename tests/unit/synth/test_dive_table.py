"""Dives of all groups from all heights turn as their numbers say, obey physics, and no joint moves too fast."""

import dataclasses

import numpy as np
import pytest

from flight import mass
from training.synth import dive, report, shape
from training.synth.plan import Plan
from training.synth.poses import joints_of

RATE_HZ = 500.0
FAST = [("101A", 1.0), ("107B", 10.0), ("305C", 3.0), ("612B", 10.0), ("5132D", 3.0), ("5253B", 3.0), ("6241B", 10.0)]
SLOW = [
    ("103B", 1.0), ("107C", 3.0), ("109C", 10.0), ("113B", 3.0), ("201A", 3.0), ("205B", 3.0), ("207C", 10.0),
    ("301B", 1.0), ("307C", 10.0), ("401B", 7.5), ("403B", 5.0), ("407C", 10.0), ("626C", 10.0), ("632C", 10.0),
    ("5121D", 1.0), ("5122D", 1.0), ("5132D", 1.0), ("5134D", 3.0), ("5152B", 3.0), ("5154B", 3.0), ("5172B", 10.0),
    ("5221D", 1.0), ("5222D", 3.0), ("5231D", 1.0), ("5231D", 3.0), ("5235D", 3.0), ("5251B", 3.0), ("5255B", 10.0),
    ("5321D", 3.0), ("5331D", 3.0), ("5333D", 3.0), ("5335D", 3.0), ("5351B", 3.0), ("5353B", 3.0), ("5432D", 3.0),
    ("5434D", 3.0), ("6142D", 10.0), ("6221D", 5.0), ("6243D", 10.0), ("6322D", 7.5),
    ("5111A", 1.0), ("5211A", 3.0), ("5411A", 3.0), ("5223D", 3.0), ("5237D", 3.0),
]  # fmt: skip
_PAIRS = (
    ("knee", (5, 6), (4, 5)), ("hip", (4, 5), (0, 7)), ("elbow", (12, 13), (11, 12)),
    ("shoulder", (11, 12), (7, 8)),
)  # fmt: skip
MOST_RAD_S = {"knee": 17.0, "hip": 16.0, "elbow": 24.0, "shoulder": 24.0}
"""Both sides of a joint may move at once (hip and trunk, arm's height and plane), so above the limits of one angle."""


def angle(joints, first, second):
    a, b = (joints[:, pair[1]] - joints[:, pair[0]] for pair in (first, second))
    cosine = np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return np.arccos(np.clip(cosine, -1, 1))


def check(text, height_m):
    dived = dive.Dive.from_code(text, height_m, joints_of, RATE_HZ)
    code, entry, told = dived.code, round(dived.events_s["entry"] * RATE_HZ), report.curves(dived)
    wanted = 180 * code.half_somersaults - np.degrees(dived.plan.short_rad)
    assert abs(told.somersault_turns[entry]) * 360 == pytest.approx(wanted, abs=5)
    assert abs(told.twist_turns[entry]) * 360 == pytest.approx(180 * code.half_twists, abs=5)
    rows = np.array([phase == "flight" for phase in dived.phase])
    joints, body = dived.joints_world_m[rows], mass.points()
    centre = body.centre(joints)
    points = body.from_joints @ (joints - centre[:, None])
    speed = (8 * (points[3:-1] - points[1:-3]) - (points[4:] - points[:-4])) * RATE_HZ / 12
    momentum = body.angular_momentum(points[2:-2], speed)
    assert np.abs(momentum - dived.momentum).max() < 1e-3 * np.linalg.norm(dived.momentum)
    velocity = (centre[2:] - centre[:-2]) * RATE_HZ / 2
    energy = 0.5 * np.sum(velocity**2, -1) + 9.81 * (centre[1:-1, 2] + height_m)
    assert np.ptp(energy) < 1e-3 * energy.max()
    moved = joints[round(shape.SETTLE_S * RATE_HZ) :]  # before, the push from the board dies out
    for name, first, second in _PAIRS:
        rate = np.abs(np.diff(angle(moved, first, second))) * RATE_HZ
        assert rate.max() < MOST_RAD_S[name], name


@pytest.mark.parametrize(("text", "height_m"), FAST)
def test_a_dive_turns_as_its_number_says(text, height_m):
    check(text, height_m)


@pytest.mark.slow
@pytest.mark.parametrize(("text", "height_m"), SLOW)
def test_many_dives_turn_as_their_numbers_say(text, height_m):
    check(text, height_m)


def test_a_move_is_smooth_and_its_peak_known():
    share = np.linspace(-0.1, 1.1, 1201)
    way = shape.moved(share)
    rate = np.gradient(way, share)
    assert (way[0], way[-1]) == (0, 1)
    assert rate.max() == pytest.approx(shape.PEAK, abs=1e-3)
    assert np.abs(np.diff(rate)).max() < 0.01


def test_a_refusal_names_another_height():
    with pytest.raises(dive.DiveError, match=r"(3|10) m would do") as caught:
        dive.simulate(Plan.of("5152B", 1.0), joints_of)
    assert "\n" not in str(caught.value)


def test_nobody_passes_the_board_too_close():
    plan = dataclasses.replace(Plan.of("405C", 3.0), speed_out_m_s=0.6)
    dived = dive.simulate(plan, joints_of)
    assert dived.plan.speed_out_m_s > plan.speed_out_m_s
    told = report.of(dived)
    assert told["head_clearance_m"] >= dive.HEAD_CLEAR_M
    assert told["clearance_m"] >= dive.BODY_CLEAR_M
    # The book's own plan is safe as it is, and stays.
    usual = Plan.of("405C", 3.0)
    assert dive.simulate(usual, joints_of).plan == usual


def test_a_seed_varies_the_dive_and_repeats_it():
    first, again, other = (dive.Dive.from_code("205B", 3.0, joints_of, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first.joints_world_m, again.joints_world_m)
    assert first.plan != other.plan
    assert report.of(first)["least_hip_deg"] != report.of(other)["least_hip_deg"]


def test_report_of_a_simple_dive_by_hand():
    plan = Plan.of("101A", 3.0)
    told = report.of(dive.simulate(plan, joints_of))
    up, out, flight = plan.speed_up_m_s, plan.speed_out_m_s, told["flight_time_s"]
    assert told["rise_m"] == pytest.approx(up * up / 19.62, abs=1e-3)
    assert told["apex_s"] - told["take_off_s"] == pytest.approx(up / 9.81, abs=1e-3)
    x, _, z = told["centre_take_off_m"]
    assert told["apex_above_board_m"] == pytest.approx(z + up * up / 19.62, abs=1e-3)
    assert told["water_clear_apex_m"] == pytest.approx(told["apex_above_board_m"] + 3, abs=1e-3)
    assert told["landing_distance_m"] == pytest.approx(x + out * flight, abs=1e-3)
    assert told["entry_velocity_m_s"] == pytest.approx([out, 0, up - 9.81 * flight], abs=1e-3)
    assert told["entry_speed_m_s"] == pytest.approx(np.hypot(out, up - 9.81 * flight), abs=1e-3)
    # Straight at the entry, short of the vertical by what was planned, from wrists to ankles.
    assert abs(told["entry_angle_deg"]) == pytest.approx(np.degrees(plan.short_rad), abs=2)
    assert (told["somersaults"], told["twists"]) == (0.5, 0.0)
    assert told["take_off_s"] < told["apex_s"] < told["splash_s"] <= told["entry_s"] < told["under_s"]
