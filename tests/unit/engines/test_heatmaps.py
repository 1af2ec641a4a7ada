"""Joints from heat maps: peaks of each map, and pairs that are two joints and not one."""

import time

import numpy as np
import pytest

from engines.codecs import encode_heatmaps
from engines.heatmaps import decode_heatmaps, joints_of_heatmaps
from engines.skeleton import JOINT_NAMES, MIRROR, MIRROR_PAIRS, J

BODY = {
    "pelvis": (96, 130), "right_hip": (84, 130), "right_knee": (82, 170), "right_ankle": (80, 210),
    "left_hip": (108, 130), "left_knee": (110, 170), "left_ankle": (112, 210), "spine": (96, 105),
    "thorax": (96, 80), "nose": (96, 66), "head": (96, 50), "left_shoulder": (116, 82), "left_elbow": (132, 108),
    "left_wrist": (138, 138), "right_shoulder": (76, 82), "right_elbow": (60, 108), "right_wrist": (54, 138),
}  # fmt: skip
POINTS = np.array([BODY[name] for name in JOINT_NAMES], float)


def test_a_map_of_zeros_has_no_confidence():
    joints, confidence = decode_heatmaps(np.zeros((J, 64, 48), np.float32))
    assert np.isfinite(joints).all()
    assert (confidence == 0).all()


def test_confidence_is_the_mass_near_the_peak():
    one, other = encode_heatmaps([[40.0, 60.0], [150.0, 200.0]])
    joints, confidence = decode_heatmaps(np.stack([0.7 * one + 0.3 * other, np.full_like(one, 1 / one.size)]))
    np.testing.assert_allclose(joints[0], [40, 60], atol=0.2)
    assert confidence[0] == pytest.approx(0.7 * 0.911, abs=0.01)
    assert confidence[1] < 0.03


def test_batches_decode_as_their_parts():
    joints = np.random.default_rng(0).uniform(10, 180, (3, J, 2))
    maps = encode_heatmaps(joints)
    together = decode_heatmaps(maps)
    assert together[0].shape == (3, J, 2)
    assert together[1].shape == (3, J)
    for row in range(3):
        np.testing.assert_array_equal(together[0][row], decode_heatmaps(maps[row])[0])


def test_noise_moves_a_joint_little():
    rng = np.random.default_rng(1)
    joints = rng.uniform(24, 160, (J, 2))
    maps = encode_heatmaps(joints) * rng.uniform(0.8, 1.2, (J, 64, 48)).astype(np.float32)
    decoded, _ = decode_heatmaps(maps)
    assert np.abs(decoded - joints).max() < 2.0


def test_decoding_takes_less_than_a_third_of_a_millisecond():
    maps = encode_heatmaps(np.random.default_rng(0).uniform(10, 180, (J, 2)))
    best = min(_timed(maps) for _ in range(50))
    assert best < 0.3e-3


def _timed(maps):
    start = time.perf_counter()
    decode_heatmaps(maps)
    return time.perf_counter() - start


def maps_of(surely: float) -> np.ndarray:
    """Maps of a body whose sides are told apart by so much: the rest of each map is at the other side's joint."""
    maps = encode_heatmaps(POINTS)
    return surely * maps + (1 - surely) * maps[list(MIRROR)]


def test_a_body_whose_sides_are_known_is_left_as_it_is():
    maps = maps_of(0.9)[None]
    alone, together = decode_heatmaps(maps), joints_of_heatmaps(maps)
    np.testing.assert_array_equal(alone[0], together[0])
    np.testing.assert_array_equal(alone[1], together[1])


def test_a_pair_that_falls_together_is_parted():
    """Every joint is thought to be where the right one is, more or less surely."""
    maps = maps_of(1.0)
    for right, left in MIRROR_PAIRS:
        maps[right], maps[left] = (
            0.8 * maps[right] + 0.2 * maps[left],
            0.55 * maps[right] + 0.45 * maps[left],
        )
    alone, _ = decode_heatmaps(maps[None])
    assert np.linalg.norm(alone[0, 11] - alone[0, 14]) < 2, "alone both shoulders lie in one place"
    parted, sure = joints_of_heatmaps(maps[None])
    np.testing.assert_allclose(parted[0], POINTS, atol=1.0)
    assert sure[0, 11] == pytest.approx(0.45 * 0.911, abs=0.02), "as sure as its own map is there"


def test_sides_are_exchanged_together_where_the_maps_cannot_tell():
    """Undecided shoulders lie as the hips do, and arms hang from their own shoulders."""
    maps = maps_of(0.9)
    for right, left in MIRROR_PAIRS[3:]:
        maps[right] = maps[left] = (maps[right] + maps[left]) / 2
    parted, _ = joints_of_heatmaps(maps[None])
    np.testing.assert_allclose(parted[0], POINTS, atol=1.5)


def test_a_pair_that_lies_in_one_place_stays_there():
    points = POINTS.copy()
    points[13] = points[16]
    parted, _ = joints_of_heatmaps(encode_heatmaps(points)[None])
    np.testing.assert_allclose(parted[0, [13, 16]], points[[13, 16]], atol=0.5)


def test_bodies_are_parted_one_by_one():
    maps = np.stack([maps_of(0.55), maps_of(0.9), maps_of(0.52)])
    together = joints_of_heatmaps(maps)
    for row in range(3):
        alone = joints_of_heatmaps(maps[row : row + 1])
        np.testing.assert_array_equal(together[0][row], alone[0][0])
        np.testing.assert_array_equal(together[1][row], alone[1][0])


def test_noise_alone_is_borne():
    rng = np.random.default_rng(3)
    maps = rng.random((2, J, 64, 48)).astype(np.float32)
    points, sure = joints_of_heatmaps(maps / maps.sum(axis=(2, 3), keepdims=True))
    assert np.isfinite(points).all() and (sure < 0.1).all()
    assert np.isfinite(joints_of_heatmaps(np.zeros((1, J, 64, 48), np.float32))[0]).all()
