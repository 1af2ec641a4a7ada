"""Poses reach the body: joints within centimetres of the scaled target, rotations proper, labels inside the mesh."""

import numpy as np
import pytest

from training.synth import motion, poses
from training.synth.retarget import scaled_to, swing, turns_from_joints


def errors_m(model, athlete, joints):
    turns = turns_from_joints(model, athlete, joints)
    return np.linalg.norm(model.joints(athlete, turns) - scaled_to(athlete, joints), axis=-1)


def test_random_poses_within_three_centimetres(model, athlete):
    joints = poses.joints_of(poses.random_angles(np.random.default_rng(1), 200))
    error = errors_m(model, athlete, joints)
    assert error.mean() < 0.005
    assert np.quantile(error, 0.999) < 0.03


def test_recorded_poses_within_three_centimetres(model, athlete, mocap_folder):
    joints = motion.read_mocap(mocap_folder).joints_m[::400].astype(float)
    error = errors_m(model, athlete, joints)
    assert error.mean() < 0.005
    assert np.quantile(error, 0.99) < 0.03
    assert error.max() < 0.10


def test_turning_the_target_turns_the_body(model, athlete):
    rng = np.random.default_rng(2)
    joints = poses.joints_of(poses.random_angles(rng, 4))
    turn = motion.random_rotation(rng)
    straight = turns_from_joints(model, athlete, joints)
    turned = turns_from_joints(model, athlete, joints @ turn.T)
    trunk = [model.index[name] for name in ("root", "spine01", "upperleg01.L", "upperarm01.R")]
    assert np.allclose(turned[:, trunk], turn @ straight[:, trunk], atol=1e-4)


def test_knees_bend_the_mesh_forwards(model, athlete):
    angles = poses.KEY_POSES["squat"][None]
    turns = turns_from_joints(model, athlete, poses.joints_of(angles), 0.0, 0.0)
    for side in ("L", "R"):
        # The sideways axis of shank and foot still points to the athlete's left.
        assert turns[0, model.index[f"lowerleg01.{side}"]][0, 0] > 0.8
        assert turns[0, model.index[f"foot.{side}"]][0, 0] > 0.8


def test_rotations_are_proper(model, athlete):
    joints = poses.joints_of(poses.random_angles(np.random.default_rng(3), 8))
    turns = turns_from_joints(model, athlete, joints, 0.3, 0.4)
    assert np.allclose(turns @ np.swapaxes(turns, -1, -2), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(turns), 1, atol=1e-5)


def test_swing_handles_opposite_vectors():
    source = np.array([[0, 0, 1.0], [1.0, 0, 0]])
    turned = np.einsum("bij,bj->bi", swing(source, -source), source)
    assert np.allclose(turned, -source, atol=1e-6)


def test_rest_joints_lie_inside_the_body(model, athlete):
    # The solid angle of the surface seen from a point inside is 4 pi.
    corners = athlete.vertices_m[model.faces][None] - athlete.joints_m[:, None, None]
    a, b, c = (corners[:, :, k] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    top = np.sum(a * np.cross(b, c), -1)
    bottom = la * lb * lc + np.sum(a * b, -1) * lc + np.sum(b * c, -1) * la + np.sum(c * a, -1) * lb
    solid = 2 * np.arctan2(top, bottom).sum(1) / (4 * np.pi)
    assert (np.abs(solid) > 0.5).all()


def test_stature_is_what_was_asked(model):
    rng = np.random.default_rng(4)
    for wanted in (1.5, 1.9):
        assert model.athlete(rng, wanted).stature_m == pytest.approx(wanted, abs=0.02)


def test_reader_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(motion.MocapError, match=r"no \.npz"):
        motion.read_mocap(tmp_path)
    np.savez(tmp_path / "bad.npz", pos17=np.zeros((3, 15, 3)))
    with pytest.raises(motion.MocapError, match=r"bad\.npz.*pos17"):
        motion.read_mocap(tmp_path)


def test_reader_drops_glitches(tmp_path):
    np.savez(tmp_path / "clip.npz", pos17=np.arange(5 * 51.0).reshape(5, 17, 3), ok=np.array([1, 0, 1, 1, 0], bool))
    assert len(motion.read_mocap(tmp_path).joints_m) == 3


def test_every_orientation_occurs():
    rng = np.random.default_rng(6)
    up = np.stack([motion.random_rotation(rng)[2] for _ in range(4000)])
    assert np.abs(up.mean(0)).max() < 0.04
    assert np.allclose(np.cov(up.T), np.eye(3) / 3, atol=0.03)


def test_random_poses_keep_the_limits_and_do_not_collide():
    angles = poses.random_angles(np.random.default_rng(7), 100)
    assert (angles >= poses.LOW - 1e-9).all()
    assert (angles <= poses.HIGH + 1e-9).all()
    assert not poses.collides(poses.joints_of(angles)).any()
