"""Geometry of labels: turned, mirrored, moved labels project to where the picture's points went."""

import cv2
import numpy as np
import pytest

from engines.skeleton import MIRROR, J
from training import geometry as geo
from training import poses, sequences
from training.datasets import Look, StoredCrop, cut, plain_look, random_look, see, towards
from training.synth.motion import sample_random

RNG = np.random.default_rng(11)


def stored_crop() -> tuple[StoredCrop, np.ndarray]:
    joints = sample_random(np.random.default_rng(2), 1).joints_m[0] @ geo.CAM_FROM_WORLD.T + [0, 0, 9.0]
    focal = 700.0
    points = geo.project(joints.astype(np.float32)) * focal + 143.5
    picture = np.zeros((288, 288, 3), np.uint8)
    for x, y in points:
        cv2.circle(picture, (round(16 * x), round(16 * y)), 16 * 2, (255, 255, 255), -1, shift=4)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    return StoredCrop(jpeg, joints.astype(np.float32), focal, 288), points


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [(256, 192), (128, 96)])
def test_picture_and_joints_move_together(seed, size):
    stored, _ = stored_crop()
    look = random_look(np.random.default_rng(seed), full_circle=1.0)
    look = Look(look.roll_rad, look.mirrored, look.bearing, 1.1, look.shift)
    matrix, joints_px, *_ = see(stored, look, *size)
    picture = cut(stored, matrix, *size, cv2.BORDER_CONSTANT)
    inside = ((joints_px > 3) & (joints_px < np.array([size[1], size[0]]) - 4)).all(1)
    assert inside.sum() >= 12
    found = cv2.getRectSubPix(picture, (1, 1), tuple(map(float, joints_px[inside][0]))).max()
    assert found > 60
    values = [cv2.getRectSubPix(picture, (3, 3), tuple(map(float, p))).mean() for p in joints_px[inside]]
    assert np.min(values) > 50, "a joint's label left its dot"


@pytest.mark.parametrize("seed", range(5))
def test_turned_3d_label_projects_to_the_homography_of_the_stored_points(seed):
    stored, points = stored_crop()
    look = random_look(np.random.default_rng(seed), full_circle=1.0)
    matrix, joints_px, _, box, joints = see(stored, look, 256, 192)
    moved = np.c_[points, np.ones(J)] @ matrix.T
    moved = moved[:, :2] / moved[:, 2:]
    expected = moved[list(MIRROR)] if look.mirrored else moved
    assert np.abs(joints_px - expected).max() < 1e-2
    # The root-relative label, put back at its place, projects into the crop that `box` describes.
    root = stored.joints_cam_m[0] * ([-1, 1, 1] if look.mirrored else [1, 1, 1])
    root = towards(look.bearing) @ geo.rotation(2, np.float32(look.roll_rad)) @ root
    rays = geo.project((joints + root).astype(np.float32))
    keypoints = geo.normalise(rays[None], box[None, :2], box[None, 2])[0]
    again = keypoints * 128 + [95.5, 127.5]
    assert np.abs(again - joints_px).max() < 1e-2


def test_bones_keep_their_lengths_under_every_look():
    stored, _ = stored_crop()
    plain = see(stored, plain_look(), 256, 192).joints_m
    turned = see(stored, Look(1.0, True, (0.2, -0.1), 1.0, (0, 0)), 256, 192).joints_m
    legs, mirrored = plain[[1, 2, 3]] - plain[[0, 1, 2]], turned[[4, 5, 6]] - turned[[0, 4, 5]]
    assert np.linalg.norm(legs, axis=1) == pytest.approx(np.linalg.norm(mirrored, axis=1), abs=1e-5)


def test_mirror_twice_is_nothing_and_towards_reaches_the_bearing():
    joints = RNG.normal(size=(3, J, 3)).astype(np.float32)
    assert np.array_equal(geo.mirror(geo.mirror(joints)), joints)
    ray = towards((0.3, -0.2)) @ [0, 0, 1]
    assert ray[:2] / ray[2] == pytest.approx([0.3, -0.2], abs=1e-6)


def test_view_of_a_standing_athlete_has_the_head_above_the_feet():
    standing = np.zeros((1, J, 3), np.float32)
    standing[0, 10, 2] = 0.8  # head, z up
    zero = np.zeros(1, np.float32)
    assert geo.view(zero, zero, zero)[0] @ standing[0, 10] == pytest.approx([0, -0.8, 0], abs=1e-6)
    down = geo.view(zero, np.float32([0.2]), zero)[0] @ standing[0, 10]
    assert down[2] < 0, "a camera that looks down sees the head nearer than the feet"


def test_observed_keypoints_are_the_projection_up_to_noise_and_fill_the_crop():
    rng = np.random.default_rng(1)
    pose = sample_random(rng, 64).joints_m.astype(np.float32) @ geo.CAM_FROM_WORLD.T
    rays = geo.project(pose + poses.random_root(rng, 64)[:, None])
    pairs = poses.observe(rng, rays, pose)
    assert np.array_equal(pairs.joints.numpy(), pose)
    likeness = []
    for keypoints, confidence, ray in zip(pairs.keypoints.numpy(), pairs.confidence.numpy(), rays, strict=True):
        sure = confidence > 0.6
        if sure.sum() > 8:
            likeness.append(np.corrcoef(keypoints[sure].ravel(), (ray[sure] - ray[sure].mean(0)).ravel())[0, 1])
    # A few poses have their sides exchanged on purpose.
    assert len(likeness) > 20 and np.median(likeness) > 0.97
    reach = np.abs(pairs.keypoints.numpy()).max((1, 2))
    assert 0.5 < np.median(reach) < 1.0


def test_interpolation_is_exact_on_a_parabola_and_at_samples():
    t = np.arange(12.0)
    samples = np.stack([t**2, 3 * t], -1).astype(np.float32)
    at = np.array([1.0, 2.25, 5.5, 9.0])
    assert sequences.interpolate(samples, at) == pytest.approx(np.stack([at**2, 3 * at], -1), abs=1e-4)


def test_tumbling_keeps_bones_and_turns_about_a_horizontal_axis():
    motion = np.tile(sample_random(RNG, 1).joints_m.astype(np.float32), (81, 1, 1))
    turned = sequences.tumble(np.random.default_rng(4), motion)
    lengths = np.linalg.norm(turned - turned[:, :1], axis=-1)
    assert np.abs(lengths - lengths[0]).max() < 1e-4
    assert np.abs(turned[-1] - turned[0]).max() > 0.2


def test_the_tracker_filter_follows_a_constant_velocity_without_lag():
    ramp = np.stack([0.5 * np.arange(200.0), np.ones(200)], 1)
    assert np.abs(sequences.follow(ramp, 0.4)[-1] - ramp[-1]).max() < 1e-3
