"""Dives obey physics: free fall, energy, constant angular momentum, continuity, head-first entries."""

import numpy as np
import pytest

from training.synth import dive, mass
from training.synth.board import Plan
from training.synth.poses import joints_of

RATE_HZ = 1000.0
PLANS = {
    "tuck": Plan(),
    "pike_10m": Plan("pike", half_somersaults=5, height_m=10.0, speed_up_m_s=2.7, board_dip_m=0.0),
    "straight": Plan("straight", half_somersaults=1),
    "twist": Plan("twist", half_somersaults=1),
}


@pytest.fixture(scope="module", params=PLANS)
def dived(request):
    return dive.simulate(PLANS[request.param], joints_of, RATE_HZ)


def in_flight(dived):
    rows = np.array([phase == "flight" for phase in dived.phase])
    return rows, mass.points(dived.plan.female), dived.joints_world_m[rows]


def test_centre_of_gravity_falls_freely(dived):
    _, body, joints = in_flight(dived)
    acceleration = np.diff(body.centre(joints), 2, axis=0) * RATE_HZ**2
    assert np.allclose(acceleration, [0, 0, -dive.GRAVITY_M_S2], atol=1e-3 * dive.GRAVITY_M_S2)


def test_energy_of_the_centre_is_kept(dived):
    _, body, joints = in_flight(dived)
    centre = body.centre(joints)
    speed = (centre[2:] - centre[:-2]) * RATE_HZ / 2
    energy = 0.5 * np.sum(speed**2, -1) + dive.GRAVITY_M_S2 * centre[1:-1, 2]
    assert np.ptp(energy) < 1e-3 * np.abs(energy).max()


def test_angular_momentum_is_constant(dived):
    _, body, joints = in_flight(dived)
    points = body.from_joints @ (joints - body.centre(joints)[:, None])
    speed = (points[2:] - points[:-2]) * RATE_HZ / 2
    momentum = body.angular_momentum(points[1:-1], speed)
    assert np.abs(momentum - dived.momentum).max() < 1e-3 * np.linalg.norm(dived.momentum)


def test_turns_faster_when_compact():
    dived = dive.simulate(PLANS["tuck"], joints_of, RATE_HZ)
    rows, body, joints = in_flight(dived)
    axis = dived.turn[rows][:, :, 2]
    rate = np.gradient(np.unwrap(np.arctan2(axis[:, 0], axis[:, 2])), 1 / RATE_HZ)
    inertia = body.inertia(body.from_joints @ (joints - body.centre(joints)[:, None]))[:, 1, 1]
    assert inertia[100] > 2.2 * inertia.min()
    # At the middle of the tuck the shape rests, so that the rate is exactly L / I.
    middle = int(0.43 * rows.sum())
    assert rate[middle] == pytest.approx(dived.momentum[1] / inertia[middle], rel=1e-3)


def test_enters_hands_first_near_the_vertical(dived):
    entry = round(dived.events_s["entry"] * RATE_HZ)
    joints = dived.joints_world_m[entry]
    assert joints[:, 2].argmin() in (13, 16)
    assert joints[:, 2].min() == pytest.approx(-dived.plan.height_m, abs=0.02)
    assert dived.turn[entry][2, 2] < -0.95
    assert 0.5 < joints[0, 0] < 4.0


def test_somersaults_as_planned():
    for half in (1, 3):
        dived = dive.simulate(Plan("tuck", half_somersaults=half), joints_of, 100)
        axis = dived.turn[: round(dived.events_s["entry"] * 100)][:, :, 2]
        turned = np.unwrap(np.arctan2(axis[:, 0], axis[:, 2]))
        assert turned[-1] == pytest.approx(np.pi * half, abs=0.25)


def test_moves_without_jumps(dived):
    assert np.linalg.norm(np.diff(dived.joints_world_m, axis=0), axis=-1).max() * RATE_HZ < 35
    assert list(dict.fromkeys(dived.phase)) == ["stand", "crouch", "push", "flight", "entry", "under"]
    events = list(dived.events_s.values())
    assert events == sorted(events)


def test_feet_stay_on_the_board(dived):
    rows = np.array([phase in ("stand", "crouch", "push") for phase in dived.phase])
    height = dived.joints_world_m[rows][:, [3, 6], 2] - dived.board_tip_m[rows, None]
    assert height.min() > 0.05
    assert height.max() < 0.25
    assert np.ptp(dived.joints_world_m[rows][:, [3, 6], 0]) < 0.15


def test_asymmetric_arms_make_a_twist():
    dived = dive.simulate(PLANS["twist"], joints_of, 200)
    rows = np.array([phase == "flight" for phase in dived.phase])
    across, along = dived.turn[rows][:, :, 0], dived.turn[rows][:, :, 2]
    axis = dived.momentum / np.linalg.norm(dived.momentum)
    level = axis - (along @ axis)[:, None] * along
    angle = np.arctan2(np.sum(across * np.cross(along, level), -1), np.sum(across * level, -1))
    twisted = np.ptp(np.unwrap(angle)) / (2 * np.pi)
    assert 0.3 < twisted < 3


def test_same_dive_at_any_rate():
    slow, fast = (dive.simulate(PLANS["tuck"], joints_of, rate) for rate in (50, 100))
    assert np.allclose(slow.joints_world_m, fast.joints_world_m[::2][: len(slow.t_s)], atol=1e-9)


def test_random_plans_can_be_dived():
    rng = np.random.default_rng(5)
    for _ in range(4):
        dived = dive.simulate(dive.random_plan(rng), joints_of, 50)
        assert np.isfinite(dived.joints_world_m).all()
        assert dived.turn[round(dived.events_s["entry"] * 50) - 1][2, 2] < -0.8


def test_mass_points_have_known_moments():
    for female in (0.0, 1.0):
        body = mass.points(female)
        assert body.masses.sum() == pytest.approx(1)
        assert np.allclose(body.from_joints.sum(1), 1)
    standing = joints_of(dive.KEY_POSES["stand"][None])[0]
    points = mass.points().from_joints @ (standing - mass.points().centre(standing))
    inertia = mass.points().inertia(points)
    # A standing adult's radii of gyration: a quarter of the stature across, about 0.1 m about the long axis.
    assert 0.15 < inertia[0, 0] < 0.24
    assert 0.005 < inertia[2, 2] < 0.03
