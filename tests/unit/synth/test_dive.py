"""Dives obey physics: free fall, energy, constant angular momentum, continuity, entries as their numbers say."""

import time

import numpy as np
import pytest

from flight import mass
from flight.code import DiveCode, DiveError
from training.synth import dive, report
from training.synth.plan import HEIGHTS_M, Plan
from training.synth.poses import KEY_POSES, joints_of

RATE_HZ = 500.0
DIVES = [
    ("101A", 1.0), ("103B", 1.0), ("107C", 3.0), ("107B", 10.0), ("109C", 10.0), ("113B", 3.0), ("102C", 5.0),
    ("201A", 3.0), ("205B", 3.0), ("207C", 10.0), ("301B", 1.0), ("305C", 3.0), ("307C", 10.0), ("401B", 7.5),
    ("403B", 5.0), ("407C", 10.0), ("612B", 5.0), ("626C", 10.0), ("632C", 10.0),
    ("5152B", 3.0), ("5221D", 3.0), ("5231D", 3.0), ("6241B", 10.0), ("6243D", 10.0),
]  # fmt: skip


@pytest.fixture(scope="module", params=DIVES, ids=lambda pair: f"{pair[0]}-{pair[1]:g}m")
def dived(request):
    return dive.Dive.from_code(*request.param, joints_of, RATE_HZ)


def in_flight(dived):
    rows = np.array([phase == "flight" for phase in dived.phase])
    return rows, mass.points(dived.plan.female), dived.joints_world_m[rows]


def momentum_of(body, joints):
    points = body.from_joints @ (joints - body.centre(joints)[:, None])
    # Fourth order, so that the check is finer than what it checks.
    speed = (8 * (points[3:-1] - points[1:-3]) - (points[4:] - points[:-4])) * RATE_HZ / 12
    return body.angular_momentum(points[2:-2], speed)


def test_energy_and_fall_of_the_centre(dived):
    _, body, joints = in_flight(dived)
    centre = body.centre(joints)
    assert np.allclose(np.diff(centre, 2, axis=0) * RATE_HZ**2, [0, 0, -9.81], atol=0.0098)
    speed = (centre[2:] - centre[:-2]) * RATE_HZ / 2
    energy = 0.5 * np.sum(speed**2, -1) + 9.81 * (centre[1:-1, 2] + dived.plan.height_m)
    assert np.ptp(energy) < 1e-3 * energy.max()


def test_angular_momentum_is_constant(dived):
    _, body, joints = in_flight(dived)
    momentum = momentum_of(body, joints)
    assert np.abs(momentum - dived.momentum).max() < 1e-3 * np.linalg.norm(dived.momentum)
    # Negative control: the same turning with the limbs frozen in their last pose does not keep it.
    rows = np.flatnonzero([phase == "flight" for phase in dived.phase])
    still = joints_of(dived.angles[rows[-1:]])[0]
    frozen = (still - body.centre(still)) @ np.swapaxes(dived.turn[rows], -1, -2)
    assert np.abs(momentum_of(body, frozen) - dived.momentum).max() > 0.05 * np.linalg.norm(dived.momentum)


def test_nothing_jumps_at_the_take_off(dived):
    k = int(np.flatnonzero([phase == "flight" for phase in dived.phase])[0])
    joints = dived.joints_world_m[k - 5 : k + 5]
    speed = np.diff(joints, axis=0) * RATE_HZ
    jump = np.linalg.norm(np.diff(speed, axis=0), axis=-1).max(1)
    # At the take-off no more than the accelerations around it.
    assert jump.max() < 1.5
    assert jump[3:5].max() < 2 * np.median(jump) + 0.3


def test_entry_as_the_number_says(dived):
    code, entry = dived.code, round(dived.events_s["entry"] * RATE_HZ)
    lowest = dived.joints_world_m[entry][:, 2].argmin()
    assert lowest in ((13, 16) if code.head_first else (3, 6))
    assert dived.turn[entry][2, 2] * (-1 if code.head_first else 1) > 0.9
    told = report.curves(dived)
    turned = told.somersault_turns[entry]
    assert abs(turned) == pytest.approx(code.half_somersaults / 2, abs=0.1)
    assert bool(turned > 0) == code.turns_outward
    # 0.15 rad: the twist is made by the arms and comes out of the motion, nobody sets it.
    assert abs(told.twist_turns[entry]) == pytest.approx(code.half_twists / 2, abs=0.024)
    events = [dived.events_s[name] for name in ("take_off", "apex", "splash", "entry", "under")]
    assert events == sorted(events)


def test_report_agrees_with_the_motion(dived):
    told = report.of(dived)
    assert told["code"] == str(dived.code)
    assert told["somersaults"] == dived.code.half_somersaults / 2
    assert told["twists"] == dived.code.half_twists / 2
    assert told["apex_above_board_m"] == pytest.approx(
        in_flight(dived)[1].centre(in_flight(dived)[2])[:, 2].max(), abs=1e-3
    )
    if dived.code.position in "BC" and not dived.code.flying:
        assert told["least_hip_deg"] < 120
        assert (told["least_knee_deg"] < 120) == (dived.code.position == "C")
    assert abs(told["entry_angle_deg"]) < 25


def test_feet_stay_on_the_board():
    dived = dive.Dive.from_code("305C", 3.0, joints_of, 100)
    rows = np.array([phase in ("stand", "crouch", "push") for phase in dived.phase])
    height = dived.joints_world_m[rows][:, [3, 6], 2] - dived.board_tip_m[rows, None]
    assert height.min() > 0.05
    assert height.max() < 0.25
    assert np.ptp(dived.joints_world_m[rows][:, [3, 6], 0]) < 0.15


@pytest.mark.parametrize("text", ["107C", "113B", "5253B", "5211A", "626C", "6243D", "405B"])
def test_numbers_go_in_and_come_out(text):
    assert str(DiveCode.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "height_m", "says"),
    [("107X", 3, "not a dive number"), ("100C", 3, "somersaults"), ("107D", 3, "position D"), ("626C", 3, "platform"),
     ("109C", 1, "too many somersaults"), ("5138D", 3, "twists"), ("107C", 4, "no such board"),
     ("642C", 10, "take-off")],
)  # fmt: skip
def test_impossible_dives_are_refused_in_one_line(text, height_m, says):
    with pytest.raises(DiveError, match=says) as caught:
        Plan.of(text, height_m)
    assert "\n" not in str(caught.value)


def test_random_dives_can_be_dived():
    rng = np.random.default_rng(5)
    groups, before = set(), time.process_time()
    for _ in range(6):
        dived = dive.random_dive(rng, joints_of, 60)
        groups.add(dived.code.group)
        assert dived.plan.height_m in HEIGHTS_M
        assert np.isfinite(dived.joints_world_m).all()
    assert len(groups) > 2
    assert time.process_time() - before < 30


def test_mass_points_have_known_moments():
    for female in (0.0, 1.0):
        body = mass.points(female)
        assert body.masses.sum() == pytest.approx(1)
        assert np.allclose(body.from_joints.sum(1), 1)
    standing = joints_of(KEY_POSES["stand"][None])[0]
    points = mass.points().from_joints @ (standing - mass.points().centre(standing))
    inertia = mass.points().inertia(points)
    # A standing adult's radii of gyration: a quarter of the stature across, about 0.1 m about the long axis.
    assert 0.15 < inertia[0, 0] < 0.24
    assert 0.005 < inertia[2, 2] < 0.03
    single = mass.Points(np.array([1.0]), np.eye(1))
    assert np.allclose(single.inertia(np.array([[1.0, 2, 3]])), [[13, -2, -3], [-2, 10, -6], [-3, -6, 5]])
    assert np.allclose(single.angular_momentum(np.array([[1.0, 2, 3]]), np.array([[4.0, 5, 6]])), [-3, 6, -3])
