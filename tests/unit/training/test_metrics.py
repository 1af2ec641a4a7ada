"""Metrics with known answers."""

import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES, MIRROR, J
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


def test_the_trunk_goes_from_mid_hips_to_mid_shoulders():
    points = np.zeros((1, J, 2))
    points[0, JOINT_NAMES.index("left_shoulder")] = [6, -8]
    points[0, JOINT_NAMES.index("right_hip")] = [0, 4]
    assert metrics.trunk(points)[0] == pytest.approx([3, -6])


def test_tilt_at_its_borders():
    degrees = np.radians([0, 44, 46, 90, -134, 136, 180])
    trunks = np.stack([np.sin(degrees), -np.cos(degrees)], -1)
    names = ["upright", "upright", "sideways", "sideways", "sideways", "inverted", "inverted", ""]
    assert metrics.tilt(np.concatenate([trunks, [[np.nan, np.nan]]])).tolist() == names


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


def test_jitter_of_a_cubic_motion_is_its_third_derivative():
    t = np.arange(6.0)[:, None, None] / 50
    motion = 2.0 * t**3 * np.array([0, 0, 1.0]) + np.zeros((6, J, 3))
    assert metrics.jitter(motion, 50.0) == pytest.approx(12)
    assert metrics.jitter(t**2 + np.zeros((6, J, 3)), 50.0) == pytest.approx(0, abs=1e-6)


def test_pck_and_auc_in_3d_of_known_errors():
    truth = np.zeros((1, 4, 3))
    predicted = truth.copy()
    predicted[0, :, 2] = [0.0, 0.0525, 0.149, 0.2]
    assert metrics.pck_3d(predicted, truth) == pytest.approx(75)
    # Of the thresholds 0, 5 ... 150 mm the first joint passes 30, the second 20 (from 55 on), the third 1.
    assert metrics.auc(predicted, truth) == pytest.approx(100 * (30 + 20 + 1 + 0) / (4 * 31))


def test_epe_is_the_mean_distance_of_the_points_that_count():
    predicted, truth = np.array([[[3.0, 4], [0, 1], [9, 9]]]), np.zeros((1, 3, 2))
    assert metrics.epe(predicted, truth, np.array([[1, 1, 0]])) == pytest.approx(3)
    assert np.isnan(metrics.epe(predicted, truth, np.zeros((1, 3))))


def test_pss_counts_poses_in_the_cluster_of_their_truth():
    shapes = RNG.normal(size=(3, J, 3))
    training = np.repeat(shapes, 20, 0) * RNG.uniform(0.5, 2, (60, 1, 1)) + RNG.normal(size=(60, 1, 3))
    centres = metrics.pose_clusters(training + 0.001 * RNG.normal(size=training.shape), 3)
    assert metrics.pss(2 * shapes + 1, shapes, centres) == pytest.approx(100)
    assert metrics.pss(shapes[[0, 1, 1]], shapes, centres) == pytest.approx(100 * 2 / 3)
    with pytest.raises(ValueError, match="2 poses do not make 3"):
        metrics.pose_clusters(shapes[:2], 3)


def test_errors_of_hypotheses_by_hand():
    truth = np.zeros((1, 2, 3))
    hypotheses = np.zeros((1, 2, 2, 3))
    hypotheses[0, 0, :, 0] = [0.01, 0.05]  # the better pose in all: 30 mm
    hypotheses[0, 1, :, 0] = [-0.09, 0.01]  # 50 mm, but the better second joint
    assert metrics.min_mpjpe(hypotheses, truth) == pytest.approx(30)
    assert metrics.j_best(hypotheses, truth) == pytest.approx(10)
    assert metrics.p_agg(hypotheses, truth) == pytest.approx((40 + 30) / 2)


def test_coverage_and_ece_by_hand():
    # Three hypotheses at 0, 1, 3 on a line: median 1, distances 0, 1, 2; quantile q lies at place 4 q of them.
    hypotheses = np.zeros((2, 3, 1, 3))
    hypotheses[:, :, 0, 0] = [0, 1, 3]
    truth = np.zeros((2, 1, 3))
    truth[:, 0, 0] = [1.45, 9]  # 0.45 from the median: within from q = 0.3625 on, so 0.4; the other never
    share = np.where(metrics.LEVELS > 0.36, 0.5, 0.0)
    assert metrics.coverage(hypotheses, truth) == pytest.approx(share)
    assert metrics.ece(hypotheses, truth) == pytest.approx(np.abs(share - metrics.LEVELS).mean())


@pytest.mark.parametrize("spread", [1.0, 0.25])
def test_ece_tells_honest_hypotheses_from_timid_ones_and_inflation_mends_them(spread):
    rng = np.random.default_rng(5)
    centre, scale = rng.normal(size=(400, J, 3)), 0.05
    truth = centre + scale * rng.standard_normal(centre.shape)
    hypotheses = centre[:, None] + spread * scale * rng.standard_normal((400, 20, J, 3))
    for x in (truth, hypotheses):
        x[..., 0, :] = 0
    before = metrics.ece(hypotheses, truth)
    assert (before < 0.05) if spread == 1 else (before > 0.3)
    factor = metrics.fit_inflation(hypotheses, truth)
    assert factor[0] == 1 and np.allclose(factor, factor[list(MIRROR)])
    assert factor[1:].mean() == pytest.approx(1 / spread, rel=0.15)
    assert metrics.ece(metrics.inflate(hypotheses, factor), truth) < 0.05


def test_inflation_moves_hypotheses_from_their_mean():
    hypotheses = np.zeros((1, 2, 2, 3))
    hypotheses[0, :, :, 1] = [[1, 1], [3, 3]]
    out = metrics.inflate(hypotheses, np.array([1.0, 4.0]))
    assert out[0, :, 0, 1].tolist() == [1, 3] and out[0, :, 1, 1].tolist() == [-2, 6]
