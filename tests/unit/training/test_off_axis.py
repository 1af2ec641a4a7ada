"""The suites `perspective` and `upright`: what they show the networks is what they say it is."""

import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from engines.codecs import transformed
from engines.contracts import CROP_H, CROP_W
from engines.store import folder_of
from training.evaluate import perspective, turned, upright
from training.evaluate.networks import Networks

SAMPLE = perspective.SAMPLE


@pytest.fixture(scope="module")
def moments() -> list[turned.Moment]:
    return turned.Clips([SAMPLE], 4)._moments


def shape_of(moment: turned.Moment, turn: np.ndarray, known: bool) -> np.ndarray:
    """Joints in the crop, without place and size."""
    view, crop, _ = turned._turned(moment, turn, known)
    assert crop.shape == (CROP_H, CROP_W, 3)
    turned_from_cam = turn @ moment.straight_from_cam
    seen = view.camera.project(moment.camera.unproject(moment.joints_img_px) @ turned_from_cam.T)
    joints = transformed(seen, np.linalg.inv(view.img_from_crop))
    assert ((joints > -1) & (joints < (CROP_W, CROP_H))).all()
    joints = joints - joints.mean(0)
    return np.asarray(joints / np.linalg.norm(joints))


def test_a_known_camera_sees_the_same_shape_however_far_it_looks_past(moments) -> None:
    for moment, turn in zip(moments, perspective.past(30, len(moments)), strict=True):
        straight = shape_of(moment, np.eye(3), True)
        past, plain = (np.linalg.norm(shape_of(moment, turn, known) - straight) for known in (True, False))
        assert past < 0.003
        assert plain > 0.015


def test_truth_is_turned_with_the_camera(moments) -> None:
    turn = perspective.past(20, 1)[0]
    _, _, root_m = turned._turned(moments[0], turn, True)
    lengths = np.linalg.norm(root_m, axis=1), np.linalg.norm(moments[0].joints_root_m, axis=1)
    np.testing.assert_allclose(*lengths, atol=1e-9)
    cam = moments[0].joints_root_m + moments[0].camera.unproject(moments[0].joints_img_px[0], 20.0)
    turned_from_cam = turn @ moments[0].straight_from_cam
    np.testing.assert_allclose(cam @ turned_from_cam.T - (cam @ turned_from_cam.T)[0], root_m, atol=1e-9)


def test_athletes_are_where_they_are_said_to_be() -> None:
    joints = perspective.athletes(np.random.default_rng(1), 50, dives=1)
    assert ((joints[:, 0, 2] >= 4) & (joints[:, 0, 2] <= 12)).all()
    assert perspective.at(joints, 3.0)[:, 0, 2] == pytest.approx(np.full(50, 3.0))
    ahead = perspective.past(30, 50)[:, :, 2]
    assert np.degrees(np.arccos(ahead[:, 2])) == pytest.approx(np.full(50, 30.0))


@pytest.mark.parametrize(("trunk", "angle_deg"), [((0, -9), 0), ((9, 0), 90), ((0, 9), 180), ((-9, -9), -45)])
def test_angle_of_a_trunk(trunk, angle_deg) -> None:
    joints = np.zeros((17, 2))
    joints[[11, 14]] = trunk  # both shoulders; the hips are at the origin
    assert math.degrees(upright.angle_rad(joints)) == pytest.approx(angle_deg)


def test_the_trunk_stands_upright_in_a_crop_turned_by_its_angle(moments) -> None:
    joints = moments[2].joints_img_px
    crop = upright.crop_of(joints, upright.angle_rad(joints))
    inside = transformed(joints, np.linalg.inv(upright.img_from_crop(crop)))
    assert upright.angle_rad(inside) == pytest.approx(0, abs=1e-9)
    assert ((inside > 0) & (inside < (CROP_W, CROP_H))).all()


def test_upright_says_its_figures_by_tilt() -> None:
    seen = list(islice(upright.seen_in(Networks(folder_of("")), SAMPLE), 3))
    truth = np.stack([one.truth for one in seen])
    exact = upright.by_tilt(truth, truth, upright._hits)
    assert exact["all"] == 100
    found = np.stack([one.found[upright.AS_IS] for one in seen])
    assert 50 < upright.by_tilt(found, truth, upright._hits)["all"] <= 100
    assert set(seen[0].found) == set(upright.WAYS)


def test_the_sample_stands_in_where_there_are_no_clips(tmp_path: Path) -> None:
    assert perspective.videos_with_truth(tmp_path) == [SAMPLE]
