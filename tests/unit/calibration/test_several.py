"""Cameras placed by an athlete whom all of them saw: places, turns, clocks and the metre, with noise and mistakes."""

import numpy as np
import pytest

from calibration.epipolar import rotation_between, sampson, shift_of, starts, triangulated
from calibration.errors import CalibrationError
from calibration.several import Watched, related
from calibration.track import Track
from flight.synchrony import body, watched
from training.evaluate.rigs import rig
from training.evaluate.verticals import dives_of


@pytest.fixture(scope="module")
def dives():
    return dives_of(range(60, 63), 10.0)


def flights(dives):
    return [
        (10 * k + one.events_s["take_off"] + 0.03, 10 * k + one.events_s["entry"] - 0.03) for k, one in enumerate(dives)
    ]


def seen_by(made):
    return [watched(one.name, one, camera) for one, camera in zip(made.recordings, made.cameras, strict=True)]


def turn_deg(one, other) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(one[:3, :3] @ other[:3, :3].T) - 1) / 2, -1, 1))))


@pytest.mark.parametrize("cameras", [2, 3])
def test_cameras_find_each_other(dives, cameras) -> None:
    """3 px of noise, a tenth of all joints found elsewhere, guesses of the clocks wrong by 50 ms."""
    made = rig(dives, cameras, seed=2)
    guesses = [offset + 0.05 * (k > 0) for k, offset in enumerate(made.offsets_s)]
    found = related(seen_by(made), guesses, flights(dives), body())
    scene = found.found.scene
    for k in range(1, cameras):
        true = made.cam_from_first(k)
        turn_sd, place_sd, _ = found.sd(k)
        length, expected = np.linalg.norm(scene.poses[k][:3, 3]), np.linalg.norm(true[:3, 3])
        assert abs(scene.offsets_s[k] - made.offsets_s[k]) < 0.002
        assert length == pytest.approx(expected, rel=0.01)
        assert turn_deg(scene.poses[k], true) < 0.5
        assert turn_deg(scene.poses[k], true) < 3 * np.degrees(turn_sd)
        off = np.linalg.inv(scene.poses[k])[:3, 3] - np.linalg.inv(true)[:3, 3]
        assert np.linalg.norm(off) < 3.5 * place_sd
    down = -made.views[0].world_from_cam[2, :3]
    assert np.degrees(np.arccos(scene.down @ down)) < 1.0
    assert (found.share_wrong < 0.2).all()


def test_without_noise_they_agree_to_centimetres(dives) -> None:
    made = rig(dives[:1], 2, seed=4, noise_px=0.2, outliers=0.0)
    scene = related(seen_by(made), made.offsets_s, flights(dives[:1]), body()).found.scene
    true = made.cam_from_first(1)
    assert turn_deg(scene.poses[1], true) < 0.3
    assert np.linalg.norm(scene.poses[1][:3, 3]) == pytest.approx(np.linalg.norm(true[:3, 3]), rel=0.01)
    assert abs(scene.offsets_s[1] - made.offsets_s[1]) < 0.001


def test_too_little_together_is_refused(dives) -> None:
    made = rig(dives[:1], 2, seed=4)
    with pytest.raises(CalibrationError, match="same athlete in 0 pictures"):
        related(seen_by(made), [0.0, 500.0], flights(dives[:1]), body())


def test_a_camera_beside_the_other_tells_no_depth(dives) -> None:
    made = rig(dives[:1], 2, seed=4, outliers=0.0)
    first = seen_by(made)[0]
    rng = np.random.default_rng(0)
    flat = first.track.flat + rng.normal(0, first.track.sd, first.track.flat.shape)
    same = Watched("beside", Track(first.track.t_s, flat, first.track.sd), first.poses_m)
    with pytest.raises(CalibrationError, match="look from the same place"):
        related([first, same], [0.0, 0.0], flights(dives[:1]), body())


def test_epipolar_geometry_of_exact_points() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform([-3, -3, 8], [3, 3, 14], (300, 3))
    turn = rotation_between(np.eye(3), np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, (-6.0, 0.5, 3.0)
    there = points @ turn.T + pose[:3, 3]
    first, second = points[:, :2] / points[:, 2:], there[:, :2] / there[:, 2:]
    np.testing.assert_allclose(sampson(pose, first, second), 0, atol=1e-9)
    np.testing.assert_allclose(triangulated(pose, first, second), points, atol=1e-8)
    shift = pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    np.testing.assert_allclose(shift_of(turn, first, second, 1e-4), shift, atol=1e-6)
    for begun in starts(first, second, 1e-4, turn):
        assert turn_deg(begun, pose) < 0.1
        np.testing.assert_allclose(begun[:3, 3], shift, atol=0.01)


def test_a_track_between_its_pictures() -> None:
    t_s = np.arange(0, 1, 0.02)
    flat = np.stack([np.sin(4 * t_s), t_s**2], axis=1)[:, None, :]
    track = Track(t_s, flat, 0.001)
    wanted = np.array([0.213, 0.5, 0.777])
    between = track.at(wanted)
    np.testing.assert_allclose(between.flat[:, 0], np.stack([np.sin(4 * wanted), wanted**2], axis=1), atol=1e-3)
    np.testing.assert_allclose(between.speed[:, 0, 1], 2 * wanted, atol=0.01)
    assert np.isnan(track.at(np.array([-0.1, 1.2])).flat).all()
    assert (between.noise < 0.8).all(), "several pictures have less noise than one"


def test_spikes_are_taken_out_and_nothing_else() -> None:
    t_s = np.arange(0, 2, 0.02)
    rng = np.random.default_rng(3)
    flat = np.stack([0.3 * np.sin(9 * t_s), t_s**2], axis=1)[:, None, :] + rng.normal(0, 0.001, (100, 1, 2))
    flat[[20, 55, 70], 0, 1] += 0.05
    kept = np.isfinite(Track(t_s, flat, 0.001).despiked.flat).all(axis=2)[:, 0]
    assert not kept[[20, 55, 70]].any()
    assert kept.sum() >= 95
