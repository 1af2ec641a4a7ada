"""Scenes at a pool: cameras that see it whole, athletes where a dive takes them, water over what is below it."""

import numpy as np
import pytest

from training.synth import athletes, bystanders, hall, poolside, wide
from training.synth.camera import looking
from training.synth.pool import WALL_Y_M, Figure, Pool, Style, Tower
from training.synth.render import Layer


@pytest.fixture(scope="module")
def posed(renderer):
    return next(iter(athletes.group(np.random.default_rng(3), None, 1)))


def _inside(camera):
    low, high = (np.array(corner) for corner in hall.HALL_M)
    place = camera.world_from_cam[:3, 3]
    return (place[:2] > low).all() and (place[:2] < high).all()


@pytest.mark.parametrize("share", [0.06, 0.3, 0.9])
def test_every_camera_is_in_the_hall_above_the_water_and_frames_the_athlete(share, posed):
    for seed in range(16):
        rng = np.random.default_rng(seed)
        height = float(rng.choice(poolside.HEIGHTS_M))
        there = poolside.placed(rng, posed, height)
        camera = poolside.camera_for(rng, there, wide.SIDE_PX, share, height)
        assert _inside(camera) and camera.world_from_cam[1, 3] < 1
        pixels = camera.project(camera.to_cam(there.vertices_m))
        assert np.ptp(pixels, axis=0).max() == pytest.approx(share * wide.SIDE_PX, rel=0.05)
        empty = poolside.empty_camera(rng, wide.SIDE_PX, height)
        assert _inside(empty) and empty.world_from_cam[2, 3] > -height + 0.5


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


def _side(target, focal=160.0):
    return looking(np.array([1.0, -16.0, 1.0]), np.asarray(target, float), focal, (256, 256))


def test_bystanders_are_behind_the_dive_and_on_something(renderer):
    kinds = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        height = float(rng.choice(poolside.HEIGHTS_M))
        towers = bystanders.random_towers(rng, height)
        levels = [-height, hall.DECK_ABOVE_WATER_M - height, *(tower.height_m - height for tower in towers)]
        for figure in bystanders.about(rng, height, towers):
            x, y, z = figure.foot_m
            assert 0.3 < y < WALL_Y_M
            assert min(abs(z - level) for level in levels) < 1e-9
            in_basin = hall.BASIN_M[0][0] < x and y < hall.FAR_EDGE_Y_M
            assert not in_basin or z == pytest.approx(-height) or z >= 1 - height
            kinds.add(round(figure.height_m, 2))
    assert len(kinds) > 8


def test_a_figure_stands_where_its_camera_sees_its_place():
    camera = _side([0, 0, -1.0])
    sprite = np.zeros((40, 20, 4), np.uint8)
    sprite[..., 0] = sprite[..., 3] = 255
    figure = Figure(sprite, np.array([3.0, 7.8, -2.7]), 1.8)
    style = Style(tile=np.full(3, 90.0))
    image = Pool(camera, 3.0, style, figures=(figure,)).backdrop(np.random.default_rng(0))
    rows, columns = np.nonzero((image == (255, 0, 0)).all(-1))
    foot, head = (camera.project(camera.to_cam(figure.foot_m + np.array([0, 0, up]))) for up in (0, 1.8))
    assert abs(columns.mean() - foot[0]) < 1
    assert abs(rows.max() - foot[1]) < 2 and abs(rows.min() - head[1]) < 2


def test_towers_hide_what_is_behind_them_from_any_side():
    sprite = np.zeros((40, 20, 4), np.uint8)
    sprite[..., 0] = sprite[..., 3] = 255
    tower = Tower(3.0, 10.0)
    behind = Figure(sprite, np.array([-5.9, 6.0, -2.7]), 0.5)
    for eye, shown in ((np.array([-5.9, -16.0, -1.0]), False), (np.array([2.0, -2.0, -1.0]), True)):
        camera = looking(eye, behind.foot_m, 400.0, (256, 256))
        image = Pool(camera, 3.0, towers=(tower,), figures=(behind,)).backdrop(np.random.default_rng(0))
        assert (image == (255, 0, 0)).all(-1).any() == shown


def test_ropes_and_spectators_are_where_they_belong():
    camera = _side([6.0, 0, -1.0])
    plain = Pool(camera, 3.0).backdrop(np.random.default_rng(0)).astype(int)
    roped = Pool(camera, 3.0, Style(ropes_x_m=(6.0,))).backdrop(np.random.default_rng(0))
    rows, columns = np.nonzero(np.abs(roped - plain).max(-1) > 12)
    ends = camera.project(camera.to_cam(np.array([[6.0, 6.9, -3.0], [6.0, -13.0, -3.0]])))
    assert rows.min() > ends[0, 1] - 2
    assert np.abs(columns - np.interp(rows, ends[:, 1], ends[:, 0])).max() < 3
    seated = Style(stands=hall.Stands(np.zeros((40, 200, 3), np.float32), 2.0))
    rows, _ = np.nonzero((Pool(camera, 3.0, seated).backdrop(np.random.default_rng(0)) == 0).all(-1))
    edge = camera.project(camera.to_cam(np.array([[6.0, WALL_Y_M, -0.9], [6.0, WALL_Y_M, 0.1]])))[:, 1]
    assert edge.min() - 12 < rows.min() and rows.max() < edge.max() + 12


@pytest.mark.parametrize("away", [(20.0, -1.0, 1.0), (8.0, -14.0, -2.0), (-3.0, -14.0, 6.0)])
def test_the_hall_is_closed_on_every_side(away):
    camera = looking(np.array(away), np.zeros(3), 90.0, (128, 128))
    image = Pool(camera, 3.0).backdrop(np.random.default_rng(0), 2)
    assert image.std() > 5 and (image.max(-1) > 12).mean() > 0.99
