"""Bones of constant length, what was seen by frame, how cameras stand, lines of contact, parabolas in the world."""

import numpy as np
import pytest

from calibration.camera import Camera
from calibration.venue import Board, Calibration
from engines.skeleton import BONES, MIRROR
from flight.bones import ENOUGH, Bones
from flight.contact import both, left_board, met_water
from flight.course import fitted_course
from flight.fall import GRAVITY_M_S2
from flight.history import History
from flight.motion import POSE_SD_M, Motion, doubts, spreads
from flight.phases import Moment
from flight.sighting import Sighting
from flight.standpoint import levelled, standpoint
from tests.falling import dived

CAMERA = Camera(1920, 1080, 1500.0, (959.5, 539.5))


def lengths(joints):
    return np.array([np.linalg.norm(joints[a] - joints[b]) for a, b in BONES])


def test_bones_become_constant_and_symmetric_and_keep_their_directions():
    poses = dived("107C", 10.0).joints_world_m
    rng = np.random.default_rng(0)
    noisy = poses + rng.normal(0, 0.02, poses.shape)
    bones = Bones()
    assert np.array_equal(bones.applied(noisy[0]), noisy[0])
    for pose in noisy:
        bones.learn(pose)
    mended = np.array([bones.applied(pose) for pose in noisy])
    assert np.ptp([lengths(pose) for pose in mended], axis=0).max() < 1e-9
    one = bones.lengths_m
    assert np.allclose(one, one[list(MIRROR)])
    assert np.allclose(mended[:, 0], noisy[:, 0])
    a, b = BONES[2]
    before, after = noisy[5, b] - noisy[5, a], mended[5, b] - mended[5, a]
    assert np.allclose(before / np.linalg.norm(before), after / np.linalg.norm(after))
    truth = np.median([lengths(pose) for pose in poses], axis=0)
    assert np.abs(lengths(mended[0]) - truth).max() < 0.03


def test_few_poses_and_poses_that_are_not_known_teach_no_bones():
    bones = Bones()
    for _ in range(3 * ENOUGH):
        bones.learn(np.full((17, 3), np.nan))
    assert bones.lengths_m is None


def test_history_replaces_what_is_seen_better_and_keeps_order():
    history = History()
    one = Sighting((0.1, 0.2), 0.001, 15.0, 0.02)
    for k in range(10):
        history.put(k, k / 50, one if k != 4 else None)
    history.put(3, 3 / 50, Sighting((0.5, 0.6), 0.001, 16.0, 0.02))
    history.put(3.5, 3.5 / 50, one)  # a frame that was never announced is not squeezed in
    rows = history.between(2 / 50, 5 / 50)
    assert len(rows.t_s) == 4
    assert np.allclose(rows.flat[1], (0.5, 0.6))
    assert np.isnan(rows.flat[2]).all()
    assert len(rows.seen(()).t_s) == 3
    assert history.newest_s == 9 / 50


def test_a_long_history_forgets_its_beginning():
    history = History()
    for k in range(5000):
        history.put(k, k / 50, None)
    assert 300 < len(history.between(-1, 1e9).t_s) <= 900
    assert history.newest_s == 4999 / 50


@pytest.mark.parametrize("down", [(0, 1, 0), (0.2, 0.9, 0.3), (0, 0, 1), (0.01, 0, -1)])
def test_a_levelled_world_has_its_z_against_gravity(down):
    down = np.array(down, float) / np.linalg.norm(down)
    matrix = levelled(down)
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert np.allclose(matrix[:3, :3] @ down, [0, 0, -1])
    assert abs((matrix[:3, :3] @ [1, 0, 0])[1]) < 0.5 or down[2] ** 2 > 0.9


def test_how_much_is_known_of_a_camera_is_said():
    guessed = standpoint(CAMERA, None)
    assert guessed.world == "estimated" and guessed.board is None
    assert np.allclose(guessed.down_cam, [0, 1, 0])
    lens = standpoint(CAMERA, Calibration(CAMERA))
    assert lens.world == "estimated"
    down = np.array([0.0, 0.8, 0.6])
    vertical = standpoint(CAMERA, Calibration(CAMERA, gravity_cam=down))
    assert vertical.world == "metric" and np.allclose(vertical.down_cam, down)
    placed = np.eye(4)
    placed[:3, :3], placed[:3, 3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), (1.0, -16.0, 0.5)
    board = Board("springboard", 3.0, 0.5, 4.8)
    known = standpoint(CAMERA, Calibration(CAMERA, world_from_cam=placed, board=board))
    assert known.world == "metric" and known.board is board
    assert np.allclose(known.to_world(np.zeros(3)), (1, -16, 0.5))


def test_a_parabola_in_the_world_with_what_it_may_be_off_by():
    t = np.arange(60) / 50
    rng = np.random.default_rng(0)
    exact = np.array([1.0, 2.0, 3.0]) + np.outer(t, [1.2, 0.1, 4.0]) - np.outer(t * t / 2, [0, 0, GRAVITY_M_S2])
    noisy = exact + rng.normal(0, 0.02, exact.shape)
    noisy[7] += 3.0  # one frame that is wrong
    noisy[8] = np.nan
    course = fitted_course(t, noisy, 0.01)
    assert np.abs(course.at(t) - exact).max() < 0.03
    assert np.allclose(course.velocity_at(0.0), [1.2, 0.1, 4.0], atol=0.05)
    assert course.apex_s == pytest.approx(4.0 / GRAVITY_M_S2, abs=0.01)
    assert course.noise_m == pytest.approx(0.02, rel=0.35)
    assert course.length(2.0).sd == pytest.approx(np.hypot(0.02, course.steadied_m))
    assert fitted_course(t, np.full((60, 3), np.nan), 0.01) is None


def test_contact_is_told_between_the_frames():
    t = np.arange(0, 1, 1 / 50)
    rng = np.random.default_rng(0)
    off = 0.413
    feet = np.where(t < off, 0.17, 0.17 + 3.0 * (t - off)) - np.maximum(0.05 - t, 0)
    errors = []
    for _ in range(30):
        found = left_board(t, feet - 0.002 + rng.normal(0, 0.015, len(t)), 3.0, 0.17, 0.015, 0.0, off - 0.03)
        errors.append(found.t_s - off)
    assert abs(np.mean(errors)) < 0.02 and np.std(errors) < 0.02
    assert left_board(t, feet, 0.1, 0.17, 0.01, 0.0, off) is None, "who does not rise does not leave"
    assert left_board(t, feet - 9, 3.0, 0.17, 0.01, 0.0, off) is None
    steep = left_board(t, feet - 0.002, 3.0, 0.17, 0.015, 0.3, off)
    assert steep.sd_s > 0.09, "where the level itself is uncertain so is the moment"


def test_the_water_is_met_between_the_frames():
    t = np.arange(0, 1, 1 / 50)
    met = 0.617
    assert met_water(t, -8.0 * (t - met) - 3.0, -3.0, 8.0, 0.01).t_s == pytest.approx(met, abs=1e-3)
    assert met_water(t, 0 * t, -3.0, 8.0, 0.01) is None


def test_two_estimates_of_a_moment_become_one():
    assert both(None, None) is None
    one, other = Moment(1.0, 0.01), Moment(1.02, 0.02)
    assert both(one, None) is one
    mixed = both(one, other)
    assert 1.0 < mixed.t_s < 1.01 and mixed.sd_s < 0.01
    assert both(one, Moment(2.0, 0.02)) is one, "of two that contradict each other the surer"


def test_motion_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="joints"):
        Motion(np.arange(3.0), np.zeros((2, 17, 3)), np.zeros((3, 17)))
    with pytest.raises(ValueError, match="increase"):
        Motion(np.zeros(2), np.zeros((2, 17, 3)), np.zeros((2, 17)))


def test_spreads_and_doubts_come_back_from_a_recording():
    sd = spreads(np.array([[0, 1, 2, -1]]))
    assert np.allclose(sd, [[POSE_SD_M, 2 * POSE_SD_M, 3 * POSE_SD_M, POSE_SD_M]])
    place = np.array([0.04, 0.01, 0.0, 0.09, 0.0, 0.01])
    pelvis = np.tile(place + np.array([1, 0, 0, 1, 0, 1]) * POSE_SD_M**2, (5, 1))
    largest = np.sqrt(np.linalg.eigvalsh([[0.04, 0.01, 0], [0.01, 0.09, 0], [0, 0, 0.01]])[-1])
    told = doubts(pelvis, np.full(5, POSE_SD_M), np.tile([0.0, 0, 15], (5, 1)))
    assert np.allclose(told, largest / 15)
