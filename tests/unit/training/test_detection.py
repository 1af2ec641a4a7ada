"""Disturbances have the statistics they claim: correlation in time, swaps of 2 to 6 frames, worst wrists, AR(1)."""

import numpy as np
import pytest

from engines.skeleton import JOINT_NAMES, MIRROR
from training import detection
from training.poses import PX, SIDES


def neighbours(x):
    """Correlation of each number (T, k) with itself one frame later."""
    return float(np.mean(x[1:] * x[:-1]) / np.mean(x * x))


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_noise_correlates_with_its_neighbour_in_time_and_keeps_its_size(rho):
    noise = detection.correlated(np.random.default_rng(1), 400, (17, 30), rho)
    assert noise.std() == pytest.approx(1, abs=0.03)
    assert neighbours(noise.reshape(400, -1)) == pytest.approx(rho, abs=0.02)
    assert noise[0].std() == pytest.approx(1, abs=0.12)  # no start-up


def test_filtering_is_the_recursion():
    white = np.random.default_rng(0).standard_normal((5, 2))
    state = white[0]
    for t in range(1, 5):
        state = 0.7 * state + np.sqrt(1 - 0.49) * white[t]
    assert detection.filtered(white, 0.7)[-1] == pytest.approx(state)


def test_sides_are_exchanged_for_two_to_six_frames_as_whole_limbs():
    frames = 4000
    points = np.arange(17.0)[None, :, None].repeat(frames, 0).repeat(2, 2)
    out = detection.swapped(np.random.default_rng(2), points, rate=0.004)
    lengths = []
    for group in SIDES:
        changed = (out[:, list(group)] != points[:, list(group)]).any((1, 2))
        assert (out[changed][:, list(group)] == points[changed][:, [MIRROR[j] for j in group]]).all()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], changed, [0]])))
        lengths += (edges[1::2] - edges[::2]).tolist()
    assert len(lengths) > 8 and min(lengths) >= 2 and np.median(lengths) <= 6
    assert np.mean(lengths) == pytest.approx(4, abs=1)
    middle = [0, 7, 8, 9, 10]
    assert (out[:, middle] == points[:, middle]).all()


def test_wrists_and_ankles_err_most_and_some_windows_are_exact():
    rng = np.random.default_rng(4)
    errors, exact = [], 0
    for _ in range(150):
        found, missing = detection.detected(rng, np.zeros((40, 17, 2)))
        exact += int(not found.any())
        errors.append(np.where(missing, np.nan, np.linalg.norm(found, axis=-1)) / PX)
    spread = dict(zip(JOINT_NAMES, np.nanmedian(np.concatenate(errors), 0), strict=True))
    assert spread["left_wrist"] > 1.4 * spread["left_hip"] and spread["right_ankle"] > 1.2 * spread["pelvis"]
    assert 0.3 < np.median(list(spread.values())) < 4
    assert 4 <= exact <= 32


def test_lost_frames_and_short_streams_keep_the_newest_frame():
    rng = np.random.default_rng(5)
    seen = np.stack([detection.dropped(rng, np.zeros((81, 17), np.float32))[1] for _ in range(300)])
    assert (seen[:, -1] == 1).all()
    assert 0.2 < (seen[:, 0] == 0).mean() < 0.6
    begins = seen.argmax(1)
    assert begins.max() <= 81 - 9 or seen.sum(1).min() >= 1
    assert (seen.sum(1) < 40).any() and (seen.sum(1) == 81).any()


def test_a_decoders_errors_last_and_flip_limbs_in_depth():
    rng = np.random.default_rng(6)
    residuals = rng.normal(0, 0.05, (500, 17, 3)).astype(np.float32)
    residuals[:, 0] = 0
    truth = np.tile(rng.normal(0, 0.4, (1, 17, 3)).astype(np.float32), (300, 1, 1))
    truth[:, 0] = 0
    joints = detection.decoded(rng, truth, residuals)
    assert (joints[:, 0] == 0).all()
    steady = joints[:, 8] - truth[:, 8]  # the thorax is in no swap and no flip
    assert 0.5 < neighbours(steady) < 0.95
    flips = 0
    for _ in range(20):
        joints = detection.decoded(rng, truth, residuals * 0)
        wrist, elbow, shoulder = joints[:, 13], joints[:, 12], joints[:, 11]
        flipped = np.isclose(elbow[:, 2] - shoulder[:, 2], -(truth[:, 12] - truth[:, 11])[:, 2], atol=1e-5)
        flips += int(flipped.sum())
        assert np.allclose(elbow[flipped, :2], truth[flipped, 12, :2]) and np.isfinite(wrist).all()
    assert flips > 5
