"""The root from 2D and 3D: exact without noise, as precise as announced with it, or none."""

import numpy as np
import pytest

from calibration.camera import Camera
from calibration.root import Root, root_from_joints

CAMERA = Camera(1000, 1000, 1145.0, (499.5, 499.5))
ROOT = np.array([0.4, 0.3, 5.0])
_SIDE = [[0.17, -0.47, 0.0], [0.39, -0.32, 0.0], [0.62, -0.17, 0.0]]
_LEG = [[0.13, 0.0, 0.0], [0.15, 0.42, 0.02], [0.16, 0.85, 0.05]]
# Standing, arms half out.
POSE = np.array(
    [[0.0, 0.0, 0.0]]
    + [[-x, y, z] for x, y, z in _LEG]
    + _LEG
    + [[0.0, -0.24, 0.0], [0.0, -0.5, 0.02], [0.0, -0.58, -0.05], [0.0, -0.7, 0.0]]
    + _SIDE
    + [[-x, y, z] for x, y, z in _SIDE]
)
ONES = np.ones(len(POSE))


def noisy_roots(trials, joint_noise_m=0.03, pixel_noise_px=3.0, seed=0):
    rng = np.random.default_rng(seed)
    pixels = CAMERA.project(POSE + ROOT)
    poses = POSE + rng.normal(0, joint_noise_m, (trials, *POSE.shape))
    seen = pixels + rng.normal(0, pixel_noise_px, (trials, *pixels.shape))
    return [root_from_joints(pose, points, ONES, CAMERA) for pose, points in zip(poses, seen, strict=True)]


def test_the_published_experiment():
    """5 m, focal length 1145 px, noise of 3 px and 3 cm: standard deviations of 10, 9 and 76 mm."""
    roots = noisy_roots(6000)
    errors = np.array([root.root_cam_m for root in roots]) - ROOT
    np.testing.assert_allclose(errors.std(axis=0) * 1e3, [10, 9, 76], rtol=0.10)
    assert np.abs(errors.mean(axis=0)).max() < 0.01


def test_the_covariance_is_true():
    roots = noisy_roots(3000, seed=1)
    errors = np.array([root.root_cam_m for root in roots]) - ROOT
    covariances = np.array([root.covariance_m2 for root in roots])
    np.testing.assert_allclose(np.sqrt(np.mean(covariances, axis=0).diagonal()), errors.std(axis=0), rtol=0.1)
    distance2 = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariances), errors)
    assert 0.80 < np.mean(distance2 < 7.81) < 0.97


def test_exact_input_gives_the_exact_root_under_distortion():
    camera = Camera(1000, 1002, 1145.0, (512.5, 515.5), (-0.2, 0.25, -0.007, -0.0009, -0.0016))
    root = root_from_joints(POSE, camera.project(POSE + ROOT), ONES, camera)
    np.testing.assert_allclose(root.root_cam_m, ROOT, atol=1e-7)
    assert root.sd_m.max() < 1e-6


def test_outliers_pull_little():
    pixels = CAMERA.project(POSE + ROOT)
    pixels[[3, 13]] += [200.0, -150.0]
    root = root_from_joints(POSE, pixels, ONES, CAMERA)
    plain = root_from_joints(np.delete(POSE, [3, 13], 0), np.delete(pixels, [3, 13], 0), ONES[2:], CAMERA)
    np.testing.assert_allclose(plain.root_cam_m, ROOT, atol=1e-7)
    np.testing.assert_allclose(root.root_cam_m, ROOT, atol=0.02)


def test_joints_without_confidence_or_place_do_not_count():
    pixels = CAMERA.project(POSE + ROOT)
    confidence = ONES.copy()
    pixels[3], confidence[3] = (0.0, 0.0), 0.0
    pixels[5] = np.nan
    np.testing.assert_allclose(root_from_joints(POSE, pixels, confidence, CAMERA).root_cam_m, ROOT, atol=1e-7)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_joints_give_no_root(count):
    confidence = np.where(np.arange(len(POSE)) < count, 1.0, 0.0)
    assert root_from_joints(POSE, CAMERA.project(POSE + ROOT), confidence, CAMERA) is None


def test_a_point_in_the_picture_gives_no_root():
    assert root_from_joints(POSE, np.full((17, 2), 400.0), ONES, CAMERA) is None
    assert root_from_joints(np.zeros((17, 3)), np.full((17, 2), 400.0), ONES, CAMERA) is None


def test_a_speck_in_the_picture_gives_no_root():
    rng = np.random.default_rng(5)
    far = CAMERA.project(POSE + np.array([0, 0, 900.0])) + rng.normal(0, 3, (17, 2))
    assert root_from_joints(POSE, far, ONES, CAMERA) is None


def test_a_pose_upside_down_to_its_picture_gives_no_root():
    pixels = CAMERA.project(POSE + ROOT)
    assert root_from_joints(-POSE, pixels, ONES, CAMERA) is None


def test_the_root_of_any_pose_is_a_root():
    rng = np.random.default_rng(2)
    for _ in range(50):
        pose = rng.normal(0, 0.4, (17, 3))
        place = np.array([*rng.uniform(-1, 1, 2), rng.uniform(4, 30)])
        root = root_from_joints(pose, CAMERA.project(pose + place), ONES, CAMERA)
        assert isinstance(root, Root)
        np.testing.assert_allclose(root.root_cam_m, place, rtol=1e-6, atol=1e-6)
