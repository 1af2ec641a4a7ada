"""Cameras that follow and zoom: the diver stays in view, the truth fits the pixels, the backdrop stands still."""

import dataclasses
import json

import numpy as np
import pytest

from pipeline.edges.truth import Truth as ReplayTruth
from training.evaluate.truth import Truth
from training.synth import clip, dive, shots
from training.synth.plan import Plan
from training.synth.pool import Pool
from training.synth.shots import Shot

SIZE_PX = (512, 288)
MOVING = [Shot("follow", "side"), Shot("zoom", "quarter"), Shot("follow", "front"), Shot("zoom", "low")]


@pytest.fixture(scope="module")
def dived(model, athlete):
    return dive.simulate(Plan.of("305C", 3.0, 4), clip.anny_shape(model, athlete), clip.FPS)


def _cameras(dived, shot, seed=3):
    rng = np.random.default_rng(seed)
    return shots.cameras(rng, shot, dived.joints_world_m, dived.plan.height_m, clip.FPS, SIZE_PX)


@pytest.mark.parametrize("stand", shots.STANDS[:-1])
@pytest.mark.parametrize("kind", shots.KINDS[:-1])
def test_the_diver_is_in_the_picture(dived, kind, stand):
    cameras = _cameras(dived, Shot(kind, stand))
    assert len(cameras) == (1 if kind == "static" else len(dived.t_s))
    for k, phase in enumerate(dived.phase):
        pelvis = cameras[min(k, len(cameras) - 1)].to_cam(dived.joints_world_m[k, 0])
        pixel = cameras[min(k, len(cameras) - 1)].project(pelvis)
        assert 10 < pelvis[2] < 40
        assert phase == "under" or ((pixel > 8) & (pixel < np.array(SIZE_PX) - 9)).all()
    assert all(300 < camera.matrix_px[0, 0] * 1080 / SIZE_PX[1] < 6500 for camera in cameras)


def test_an_operator_is_late_smooth_and_the_same_for_the_same_seed(dived):
    cameras = _cameras(dived, Shot("follow", "side"))
    forward = np.stack([camera.world_from_cam[:3, 2] for camera in cameras])
    rise = np.arcsin(forward[:, 2])
    rate = np.diff(rise) * clip.FPS
    assert rate.min() < -0.2  # swings down with the diver
    assert np.abs(np.diff(rate)).max() * clip.FPS < 12  # rad/s2, no jerks
    assert np.ptp([camera.world_from_cam[:3, 3] for camera in cameras], axis=0).max() == 0
    again = _cameras(dived, Shot("follow", "side"))
    assert all(np.array_equal(a.world_from_cam, b.world_from_cam) for a, b in zip(cameras, again, strict=True))


def test_a_zoom_changes_the_focal_length_smoothly(dived):
    focal = np.array([camera.matrix_px[0, 0] for camera in _cameras(dived, Shot("zoom", "side"))])
    assert focal.max() / focal.min() > 1.35
    assert np.abs(np.diff(np.log(focal))).max() < 0.05


@pytest.mark.parametrize("shot", MOVING, ids=lambda shot: f"{shot.kind}-{shot.stand}")
def test_joints_of_every_frames_camera_lie_on_the_drawn_body(dived, shot, model, athlete, renderer, monkeypatch):
    monkeypatch.setattr(clip, "SIZE_PX", SIZE_PX)
    cameras = _cameras(dived, shot)
    stage = clip._Stage(model, athlete, dived, cameras, Pool(cameras[0], dived.plan.height_m))
    told = json.loads(json.dumps(clip.truth_map(dived, cameras, 3, shot)))
    assert "world_from_cam" not in told and "camera_matrix_px" not in told
    chosen = [2, *[k for k, phase in enumerate(dived.phase) if phase == "flight"][::12]]
    hits, count = 0, 0
    for k, (image, mask) in zip(chosen, clip._frames(stage, renderer, np.random.default_rng(0), chosen), strict=True):
        frame = told["frames"][k]
        pose = np.array(frame["world_from_cam"])
        cam = (np.array(frame["joints_world_m"]) - pose[:3, 3]) @ pose[:3, :3]
        pixels = cam @ np.array(frame["camera_matrix_px"]).T
        pixels = pixels[:, :2] / pixels[:, 2:]
        assert np.abs(pixels - frame["joints_img_px"]).max() < 0.2
        column, row = np.rint(pixels).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < SIZE_PX[0]) & (row < SIZE_PX[1])
        hits, count = hits + int(mask[row[inside], column[inside]].sum()), count + int(inside.sum())
        assert image.shape == (*SIZE_PX[::-1], 3)
    assert count > 60 and hits >= 0.97 * count


def test_the_backdrop_of_a_turning_camera_is_what_that_camera_would_see(dived):
    cameras = [_cameras(dived, Shot("follow", "quarter"))[k] for k in (0, 60, 100)]
    wide = shots.wide(cameras)
    pool = Pool(wide, 3.0)
    turning = shots.Panning(wide, pool.backdrop(np.random.default_rng(1), 2))
    for camera in cameras:
        direct = dataclasses.replace(pool, camera=camera).backdrop(np.random.default_rng(1), 2).astype(float)
        seen = turning.seen(camera).astype(float)
        assert np.abs(seen - direct).mean() < 4
        shifted = np.abs(seen[:, 3:] - direct[:, :-3]).mean()
        assert np.abs(seen - direct).mean() < 0.6 * shifted


@pytest.mark.parametrize("zoom", [1.0, 0.45])
def test_a_point_of_the_world_moves_as_the_camera_says(dived, zoom):
    cameras = _cameras(dived, Shot("zoom", "side"))[::20]
    wide = shots.wide(cameras)
    point = np.array([0.5, 3.0, 0.5])
    there = np.array(wide.project(wide.to_cam(point)))
    rows, columns = np.mgrid[: wide.size_px[1], : wide.size_px[0]]
    spot = np.exp(-((columns - there[0]) ** 2 + (rows - there[1]) ** 2) / (2 * 6.0**2))
    turning = shots.Panning(wide, np.repeat((spot * 255).astype(np.uint8)[..., None], 3, 2))
    for camera in cameras:
        matrix = camera.matrix_px * np.array([[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]])
        camera = dataclasses.replace(camera, matrix_px=matrix)
        light = turning.seen(camera)[..., 0].astype(float)
        if light.sum() < 500:
            continue
        found = [(light.sum(1 - axis) * np.arange(light.shape[axis])).sum() / light.sum() for axis in (1, 0)]
        expected = camera.project(camera.to_cam(point))
        if (expected > 30).all() and (expected < np.array(SIZE_PX) - 30).all():
            assert np.allclose(found, expected, atol=0.35)


def test_both_readers_accept_a_moving_camera(dived, tmp_path):
    cameras = _cameras(dived, Shot("follow", "quarter"))
    path = tmp_path / "dive.truth.json"
    path.write_text(json.dumps(clip.truth_map(dived, cameras, 3, Shot("follow", "quarter"))))
    for truth in (Truth.beside(tmp_path / "dive.mp4"), ReplayTruth.read(path)):
        for k in (0, 90):
            cam = cameras[k].to_cam(dived.joints_world_m[k])
            assert np.allclose(truth.joints_root_m[k], cam - cam[0], atol=0.002)


def test_unknown_cameras_are_refused():
    with pytest.raises(shots.ShotError, match="drone"):
        Shot("drone")
    drawn = [Shot("random", "random").drawn(np.random.default_rng(seed)) for seed in range(40)]
    assert {shot.kind for shot in drawn} == set(shots.KINDS[:-1])
    assert {shot.stand for shot in drawn} == set(shots.STANDS[:-1])
