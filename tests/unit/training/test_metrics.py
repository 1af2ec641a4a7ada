"""Metrics with known answers."""

import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES, J
from training import metrics
from training.geometry import random_rotations

RNG = np.random.default_rng(3)


def test_mpjpe_of_a_shift_is_its_length():
    truth = RNG.normal(size=(5, J, 3))
    assert metrics.mpjpe(truth + np.array([0.03, 0.0, 0.04]), truth) == pytest.approx(50)


def test_n_mpjpe_removes_scale_only():
    truth = RNG.normal(size=(5, J, 3))
    assert metrics.n_mpjpe(0.4 * truth, truth) == pytest.approx(0, abs=1e-9)
    assert metrics.n_mpjpe(truth[..., [1, 0, 2]], truth) > 100


def test_p_mpjpe_removes_similarity_but_no_reflection():
    truth = RNG.normal(size=(6, J, 3))
    turn = random_rotations(np.random.default_rng(1), 6)
    moved = 2.5 * truth @ turn + np.array([1.0, 2.0, 3.0])
    assert metrics.p_mpjpe(moved, truth) == pytest.approx(0, abs=1e-3)
    assert metrics.p_mpjpe(truth * np.array([-1.0, 1.0, 1.0]), truth) > 50


def test_p_mpjpe_is_never_above_n_mpjpe_after_centring():
    truth = RNG.normal(size=(20, J, 3))
    other = truth + 0.2 * RNG.normal(size=truth.shape)
    truth, other = (x - x.mean(1, keepdims=True) for x in (truth, other))
    assert (metrics.align(other, truth) - truth).__pow__(2).sum() <= ((other - truth) ** 2).sum()


def test_motion_errors_of_known_motions():
    t = np.arange(8.0)[None, :, None, None]
    still = np.zeros((1, 8, J, 3))
    assert metrics.mpjve(still + 0.002 * t * [0, 0, 1], still) == pytest.approx(2)
    assert metrics.acceleration_error(still + 0.0005 * t**2 * [0, 1, 0], still) == pytest.approx(1)


def test_pck_counts_points_within_the_reference():
    truth = np.zeros((2, 4, 2))
    predicted = truth.copy()
    predicted[0, 0] = [9, 0]
    predicted[1, 1] = [11, 0]
    weight = np.ones((2, 4))
    assert metrics.pck(predicted, truth, np.array([100, 100]), 0.1, weight) == pytest.approx(100 * 7 / 8)
    weight[1, 1] = 0
    assert metrics.pck(predicted, truth, np.array([100, 100]), 0.1, weight) == pytest.approx(100)


def test_torso_length_is_left_shoulder_to_right_hip():
    points = np.zeros((1, J, 2))
    points[0, JOINT_NAMES.index("left_shoulder")] = [3, 4]
    assert metrics.torso_length(points)[0] == pytest.approx(5)


@pytest.mark.parametrize(
    ("trunk", "name"), [((0.1, -1), "upright"), ((1, 0.2), "side"), ((-0.3, 1), "inverted"), ((-1, 0), "side")]
)
def test_orientation_by_the_trunk(trunk, name):
    joints = np.zeros((1, J, 3))
    joints[0, JOINT_NAMES.index("thorax"), :2] = trunk
    assert metrics.orientation(joints)[0] == name


def test_box_iou_of_known_boxes():
    a = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    b = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.5, 0.0], [0.5, 0.5, 3.0, 0.0]])
    assert metrics.box_iou(a, b) == pytest.approx([1, 1 / 3, 0])
