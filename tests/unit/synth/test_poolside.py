"""Scenes at a pool: cameras that see it whole, athletes where a dive takes them, water over what is below it."""

import numpy as np
import pytest

from training.synth import athletes, poolside, wide
from training.synth.camera import looking
from training.synth.pool import WALL_Y_M, Pool
from training.synth.render import Layer


@pytest.fixture(scope="module")
def posed(renderer):
    return next(iter(athletes.group(np.random.default_rng(3), None, 1)))


def _rays(camera):
    width, height = camera.size_px
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]])
    return corners @ np.linalg.inv(camera.matrix_px).T @ camera.world_from_cam[:3, :3].T


@pytest.mark.parametrize("share", [0.06, 0.3, 0.9])
def test_every_camera_looks_at_the_far_wall_and_frames_the_athlete(share, posed):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        height = float(rng.choice(poolside.HEIGHTS_M))
        there = poolside.placed(rng, posed, height)
        camera = poolside.camera_for(rng, there, wide.SIDE_PX, share, height)
        assert (_rays(camera)[:, 1] > 0).all() and camera.world_from_cam[1, 3] < WALL_Y_M
        pixels = camera.project(camera.to_cam(there.vertices_m))
        assert np.ptp(pixels, axis=0).max() == pytest.approx(share * wide.SIDE_PX, rel=0.05)
        assert (_rays(poolside.empty_camera(rng, wide.SIDE_PX, height))[:, 1] > 0).all()


def test_athletes_stand_on_the_board_or_are_on_their_way_to_the_water(posed):
    places = [poolside.placed(np.random.default_rng(seed), posed, 3.0) for seed in range(60)]
    on_board = [there for there in places if there.joints_m[0, 0] < 0]
    assert 5 < len(on_board) < 30
    assert all(there.vertices_m[:, 2].min() == pytest.approx(0) for there in on_board)
    assert all(-3.3 < there.joints_m[0, 2] < 2.6 for there in places)


def test_only_what_is_below_the_surface_is_hidden_by_it():
    camera = looking(np.array([1.0, -10.0, -3.0]), np.array([1.0, 0.0, -3.0]), 40.0, (64, 64))
    white = Layer(np.full((64, 64, 4), 255, np.uint8), np.full((64, 64), 10.0, np.float32))
    image = Pool(camera, 3.0).with_athlete(np.zeros((64, 64, 3), np.uint8), white, camera)
    assert (image[:32] == 255).all()
    assert (image[32:] < 200).all()


def test_a_pool_makes_scenes_like_any_other_place(monkeypatch, renderer):
    monkeypatch.setattr(wide, "SHARE_POOL", 1.0)
    samples = wide.make(np.random.default_rng(8), 8, 0, athletes.NO_SOURCES)
    assert len(samples) == 10 and any(label["present"] for _, _, label in samples)
