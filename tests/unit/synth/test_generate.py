"""Crops, scenes and shards: labels agree with pictures, same seed same bytes, runs resume."""

import dataclasses
import multiprocessing
import os
import signal

import cv2
import numpy as np
import psutil
import pytest

from training.synth import crops as crops_of
from training.synth import generate, motion, render, shards, wide
from training.synth.look import random_lighting, random_look


@pytest.fixture(scope="module")
def crops(renderer):
    return [sample for group in (0, 1) for sample in generate.make_group("crops", 3, group)]


@pytest.fixture(scope="module")
def scenes(renderer):
    return [sample for group in (0, 1, 2) for sample in generate.make_group("scenes", 3, group)]


def test_crop_labels_project(crops):
    for _, _, label in crops:
        cam = np.array(label["joints_cam_m"]) + label["root_cam_m"]
        pixels = label["focal_crop_px"] * cam[:, :2] / cam[:, 2:] + (crops_of.SIDE_PX - 1) / 2
        assert np.abs(pixels - label["joints_crop_px"]).max() < 0.3
        assert np.allclose(label["joints_cam_m"][0], 0)


def test_crop_joints_lie_in_the_box(crops):
    for _, _, label in crops:
        x0, y0, x1, y1 = label["box_crop_px"]
        joints = np.array(label["joints_crop_px"])
        assert (joints >= [x0 - 2, y0 - 2]).all()
        assert (joints <= [x1 + 2, y1 + 2]).all()
        side = max(x1 - x0, y1 - y0) / crops_of.SIDE_PX
        assert 0.5 < side < 0.7


def test_most_joints_are_visible(crops):
    seen = np.array([label["visible"] for _, _, label in crops])
    assert set(np.unique(seen)) <= {0, 1}
    assert 0.5 < seen.mean() < 0.99


MOMENT = ("phase", "dive_code", "dive_position", "dive_share", "dive_events", "t_s", "events_s")
NO_MOMENT = ["none", None, None, None, {}, None, None]


def test_crops_say_where_in_a_dive_they_are(crops):
    for _, _, label in crops:
        moment = [label[name] for name in MOMENT]
        if label["source"] == "dive":
            assert label["phase"] in ("board", "flight", "entry") and 0 <= label["dive_share"] <= 1
            assert label["dive_position"] in ("A", "B", "C", "D", None)
            assert (label["phase"] == "board") == (label["dive_share"] < label["dive_events"]["take_off"])
            assert (label["phase"] == "entry") == (label["dive_share"] >= label["dive_events"].get("entry", 2))
            assert label["events_s"].keys() == label["dive_events"].keys()
            assert (label["phase"] == "board") == (label["t_s"] < label["events_s"]["take_off"])
            assert (label["phase"] == "entry") == (label["t_s"] >= label["events_s"].get("entry", 9))
        else:
            assert moment == NO_MOMENT
    assert {label["source"] for *_, label in crops} == {"dive", "random"}


def test_scenes_say_it_of_their_subject(scenes):
    for _, _, label in scenes:
        of_a_dive = label["source"] == "dive"
        assert ([label[name] for name in MOMENT] != NO_MOMENT) == of_a_dive
        assert (label["t_s"] is not None) == of_a_dive
    assert {"dive", "none"} <= {label["source"] for *_, label in scenes}


@pytest.mark.parametrize("number", range(len(motion.FLIGHTS)))
def test_flights_last_as_long_as_real_ones(number):
    label = motion._moment_of(number, 0.6).as_label()
    assert label["t_s"] == pytest.approx(0.6 * motion.KEY_POSE_S, abs=1e-3)
    if "entry" in label["events_s"]:
        assert 0.7 < label["events_s"]["entry"] - label["events_s"]["take_off"] < 1.8


def test_pictures_decode_to_their_size(crops, scenes):
    for samples, side in ((crops, crops_of.SIDE_PX), (scenes, wide.SIDE_PX)):
        image = cv2.imdecode(np.frombuffer(samples[0][1], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (side, side, 3)


def test_scene_boxes(scenes):
    present = [label for _, _, label in scenes if label["present"]]
    assert 0 < len(present) < len(scenes)
    for _, _, label in scenes:
        assert (label["box"] is not None) == bool(label["present"])
    for label in present:
        box = np.array(label["box"])
        assert (np.abs(box) <= 1.0001).all()
        mask = cv2.imdecode(np.frombuffer(label["mask_png"], np.uint8), cv2.IMREAD_GRAYSCALE) > 0
        assert np.allclose(render.mask_box(mask), label["box_px"], atol=0.06)
        cam = np.array(label["joints_cam_m"]) + label["root_cam_m"]
        pixels = label["focal_px"] * cam[:, :2] / cam[:, 2:] + label["principal_px"]
        assert np.abs(pixels - label["joints_px"]).max() < 0.3
        assert (box[2:] > box[:2]).all()
        assert np.allclose((box + 1) / 2 * wide.SIDE_PX - 0.5, label["box_px"], atol=0.06)


def test_same_seed_same_bytes(crops):
    again = generate.make_group("crops", 3, 1)
    assert [(key, jpg) for key, jpg, _ in again] == [(key, jpg) for key, jpg, _ in crops[10:]]
    assert [label for *_, label in again] == [label for *_, label in crops[10:]]
    other = generate.make_group("crops", 4, 1)
    assert other[0][1] != again[0][1]


def test_layer_shows_the_body_where_its_joints_are(renderer, model, athlete):
    from training.synth.camera import around, filling
    from training.synth.poses import KEY_POSES, joints_of
    from training.synth.retarget import turns_from_joints

    rng = np.random.default_rng(8)
    turns = turns_from_joints(model, athlete, joints_of(KEY_POSES["star"][None]))
    vertices, joints = (part[0] for part in model.posed(athlete, turns))
    camera = filling(around(rng, np.zeros(3), 12.0, (200, 200)), vertices, 0.8)
    layer = renderer.draw(athlete, vertices, random_look(rng), random_lighting(rng), camera)
    cam = camera.to_cam(joints)
    column, row = np.rint(camera.project(cam)).astype(int).T
    assert layer.mask[row, column].all()
    assert render.visible(layer, camera.project(cam), cam[:, 2]).all()
    assert not render.visible(layer, camera.project(cam), cam[:, 2] + 0.5).any()
    # Coverage and depth agree but for the smoothed edge.
    assert np.mean((layer.rgba[..., 3] > 127) != layer.mask) < 0.01


def test_shards_resume_and_agree(tmp_path, renderer):
    job = generate.Job("crops", 3, 15, tmp_path / "whole", per_shard=10)
    told = []
    assert generate.run(job, 1, told.append) == (0, 2)
    assert told == sorted(told) and set(told) == set(range(1, 16))
    whole = [job.path(shard).read_bytes() for shard in range(2)]
    assert len(list(shards.read_shard(job.path(1)))) == 5

    parts = dataclasses.replace(job, out=tmp_path / "parts")
    assert generate.run(dataclasses.replace(parts, count=10), 1) == (0, 1)
    before = parts.path(0).stat().st_mtime_ns
    gone = psutil.pids()[-1] + 1
    while psutil.pid_exists(gone):
        gone += 1
    left, others = (parts.path(1).with_suffix(f".{pid}.part") for pid in (gone, 1))
    for path in (left, others):
        path.write_bytes(b"broken off")
    assert generate.run(parts, 1) == (1, 1)
    assert (left.exists(), others.exists()) == (False, True)  # process 1 lives and may still be at it
    assert parts.path(0).stat().st_mtime_ns == before
    assert [parts.path(shard).read_bytes() for shard in range(2)] == whole
    assert generate.run(parts, 1) == (2, 0)


@pytest.mark.slow
def test_a_shard_whose_process_is_killed_is_rendered_again(tmp_path, renderer):
    job = generate.Job("crops", 3, 30, tmp_path / "killed")
    told, said = [], []

    def progress(done):
        told.append(done)
        if not said and done == 1:  # of the first of three groups
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    assert generate.run(job, 2, progress, said.append) == (0, 1)
    (line,) = said
    assert "/crops-s3-00000.tar" in line and "died (SIGKILL); it is rendered again" in line and "\n" not in line
    assert (told[-1], max(told)) == (30, 30)
    assert told != sorted(told)  # what the dead process had done is not counted
    assert multiprocessing.active_children() == []
    undisturbed = dataclasses.replace(job, out=tmp_path / "undisturbed")
    generate.run(undisturbed, 2)
    assert job.path(0).read_bytes() == undisturbed.path(0).read_bytes()
    assert list(job.out.iterdir()) == [job.path(0)]


def test_reader_and_split(tmp_path, crops):
    path = tmp_path / "x.tar"
    assert shards.write_shard(path, crops) == len(crops)
    read = list(shards.read_shard(path))
    assert [sample[0] for sample in read] == [sample[0] for sample in crops]
    assert read[3][1] == crops[3][1]
    assert read[3][2] == crops[3][2]
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(shards.ShardError, match=r"x\.tar"):
        list(shards.read_shard(path))


def test_validation_goes_by_group():
    keys = [f"s1-g{group:06d}-{place:02d}" for group in range(3000) for place in (0, 9)]
    chosen = [shards.is_validation(key) for key in keys]
    assert chosen[::2] == chosen[1::2]
    assert 0.08 < np.mean(chosen) < 0.125


def test_showcase_seed_is_refused(tmp_path):
    with pytest.raises(generate.SeedError, match="7001"):
        generate.Job("crops", generate.SHOWCASE_SEED, 10, tmp_path)
