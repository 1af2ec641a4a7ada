"""Cameras of training: from below as from above, half of them calibrated; what a lifter makes of their pitches."""

import numpy as np
import pytest
import torch

from calibration.camera import Camera
from engines.view import view_of
from training import geometry as geo
from training.evaluate.pitch import from_above_deg
from training.poses import looked_at, sample_pairs
from training.recipes import build
from training.sequences import sample_windows

ALONE = {"batch": 16, "dives": 1, "stills": 20, "validation": 6, "pictures": 0, "encoder": "mlp", "mlp_hidden": 32}


def _down_deg(cam_from_world):
    return -np.degrees(np.arcsin(cam_from_world[:, 2, 2]))


def test_cameras_at_a_pool_look_up_as_often_as_down_and_far():
    rng = np.random.default_rng(1)
    pool = _down_deg(geo.random_views(rng, 4000, 0.3, geo.POOL_DEG))
    level = _down_deg(geo.random_views(rng, 4000, 0.3))
    assert 0.45 < (pool < 0).mean() < 0.55
    assert (pool < -25).mean() > 0.06 and (pool > 25).mean() > 0.06
    assert (level < -25).mean() < 0.02


def test_a_calibrated_camera_is_told_as_the_live_view_tells_it():
    rng = np.random.default_rng(2)
    camera = Camera(1920, 1080, 1400.0, (959.5, 539.5))
    joints = rng.normal(0, 0.4, (17, 3))
    root = np.array([3.0, -2.0, 9.0])
    rays = geo.project(joints + root)
    centre, size = geo.keypoint_box(rays)
    height = geo.crop_height(size)
    box = np.append(centre, height)[None]
    keypoints, turned, solid = looked_at(geo.normalise(rays[None], centre[None], height[None]), box, joints[None])
    middle = centre * 1400.0 + (959.5, 539.5)
    live = view_of((float(middle[0]), float(middle[1]), 300.0), camera, known=True)
    pixels = rays * 1400.0 + (959.5, 539.5)
    assert (turned[0, :2] == 0).all() and turned[0, 2] > 0
    np.testing.assert_allclose(
        keypoints[0] * turned[0, 2] / 2, live.keypoints(pixels) * live.height_focal / 2, atol=1e-5
    )
    np.testing.assert_allclose(solid[0], live.view_from_cam(joints), atol=1e-5)


def test_half_of_what_is_learned_was_filmed_by_calibrated_cameras(data):
    bank = build("decode", {**ALONE}, data, seed=1).bank
    pairs = sample_pairs(np.random.default_rng(3), bank, 600)
    known = (pairs.box[:, :2] == 0).all(1)
    assert 0.42 < known.float().mean() < 0.58
    box = sample_windows(np.random.default_rng(4), bank, 40, 9).box
    assert 0.25 < (box[:, :, :2] == 0).all(2).all(1).float().mean() < 0.75
    level = sample_windows(np.random.default_rng(4), bank, 10, 9, natural=True).box
    assert (level[:, :, :2] != 0).any(2).all()


def test_a_decoder_learns_alone_while_its_encoder_stays(data, overfit):
    torch.manual_seed(0)
    settings = {"encoder_rate": 0.0, "solid_share": 0.0, "contrast_weight": 0.0, "diffusion_weight": 0.0}
    recipe = build("decode", {**ALONE, "mlp_hidden": 128, **settings}, data, seed=1)
    before = {k: v.clone() for k, v in recipe.modules["pose2d_encoder"].state_dict().items()}
    first, last = overfit(recipe, recipe.batch(0, 0.0), 60, lr=2e-3)
    assert last["lift_m"] < 0.6 * first["lift_m"] and last["score"] == last["contrast"] == 0
    assert all(torch.equal(v, before[k]) for k, v in recipe.modules["pose2d_encoder"].state_dict().items())


@pytest.mark.parametrize("tilt", [-20, 5, 18])
def test_what_is_seen_from_too_far_above_is_told_in_degrees(tilt):
    truth = np.random.default_rng(5).normal(0, 0.4, (6, 17, 3))
    pitch = np.full(6, np.radians(tilt))
    assert from_above_deg(truth @ np.swapaxes(geo.rotation(0, pitch), -1, -2), truth) == pytest.approx(tilt, abs=1e-3)
