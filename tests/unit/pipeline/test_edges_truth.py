import json

import numpy as np
import pytest

from pipeline.edges.poses import ROW, Poses
from pipeline.edges.truth import (
    Truth,
    aligned,
    in_view,
    inside_picture,
    per_frame_mpjpe_mm,
    per_frame_mpjpe_of_aligned_mm,
    truth_beside,
    video_errors,
)
from pipeline.errors import SourceError

RNG = np.random.default_rng(5)


def rotation(axis, angle):
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def body(frames=4):
    joints = RNG.normal(0, 0.4, (frames, 17, 3))
    return joints - joints[:, :1]


def truth_of(joints_root_m, root=(0.2, 0.1, 6.0), focal=1000.0, size=(640, 480)):
    cam = joints_root_m + np.array(root)
    img = cam[..., :2] / cam[..., 2:] * focal + [(size[0] - 1) / 2, (size[1] - 1) / 2]
    return Truth(cam, img, in_view(inside_picture(img, *size)), 25.0)


def poses_of(joints_root_m, joints_img_px, tracked=None):
    rows = []
    for seq in range(len(joints_root_m)):
        row = np.zeros((), ROW)
        row["seq"], row["tracked"] = seq, True if tracked is None else tracked[seq]
        row["joints_root_m"], row["joints_img_px"] = joints_root_m[seq], joints_img_px[seq]
        rows.append(row)
    return Poses.of_rows(rows)


def test_mpjpe_of_a_known_shift_and_none_of_the_pelvis():
    truth = body()
    ours = truth.copy()
    ours[:, 1:] += [0.03, 0.0, 0.04]  # 50 mm at 16 of 17 joints
    assert per_frame_mpjpe_mm(ours, truth) == pytest.approx(50 * 16 / 17)
    assert per_frame_mpjpe_mm(truth + np.array([5.0, 0, 1.0]), truth) == pytest.approx(0, abs=1e-9)


def test_alignment_undoes_any_similarity_but_no_mirror():
    truth = body()
    ours = 1.7 * truth @ rotation([1, 2, 3], 2.1).T + [4.0, -1.0, 2.0]
    assert aligned(ours, truth) == pytest.approx(truth, abs=1e-9)
    assert per_frame_mpjpe_of_aligned_mm(ours, truth) == pytest.approx(0, abs=1e-6)
    mirrored = truth * [-1, 1, 1]
    assert (per_frame_mpjpe_of_aligned_mm(mirrored, truth) > 50).all()


def test_alignment_is_the_best_there_is():
    truth, ours = body(1), body(1)
    best = np.square(aligned(ours, truth) - truth).sum()
    moved = aligned(ours, truth)
    for axis in np.eye(3):
        for angle in (-0.02, 0.02):
            centre = moved.mean(axis=1, keepdims=True)
            turned = (moved - centre) @ rotation(axis, angle).T + centre
            assert np.square(turned - truth).sum() > best
    for scale in (0.98, 1.02):
        centre = moved.mean(axis=1, keepdims=True)
        assert np.square(scale * (moved - centre) + centre - truth).sum() > best


def test_perfect_poses_have_no_error_and_full_coverage():
    truth = truth_of(body())
    errors = video_errors(poses_of(truth.joints_root_m, truth.joints_img_px), truth)
    assert errors.n_frames == 4
    assert errors.coverage == 1.0
    assert errors.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert errors.pck02_torso == 1.0
    assert errors.px_error_median == pytest.approx(0, abs=1e-3)


def test_known_2d_errors():
    truth = truth_of(body(1))
    torso = np.linalg.norm(truth.joints_img_px[0, 14] - truth.joints_img_px[0, 4])
    px = truth.joints_img_px.copy()
    px[0, :5, 0] += 0.25 * torso  # misses
    px[0, 5:, 0] += 0.1 * torso  # hits
    px[0, 16] = np.nan  # not measured: a miss, not an error in pixels
    errors = video_errors(poses_of(truth.joints_root_m, px), truth)
    assert errors.pck02_torso == pytest.approx(11 / 17)
    assert errors.px_error_median == pytest.approx(0.1 * torso, rel=1e-3)


def test_coverage_counts_only_frames_in_view():
    joints = body(6)
    truth = truth_of(joints)
    truth.joints_img_px[0] += 5000  # outside the picture
    viewed = in_view(inside_picture(truth.joints_img_px, 640, 480))
    truth = Truth(truth.joints_cam_m, truth.joints_img_px, viewed, 25.0)
    assert viewed.tolist() == [False, True, True, True, True, True]
    tracked = [True, True, False, True, False, True]
    errors = video_errors(poses_of(joints, truth.joints_img_px, tracked), truth)
    assert errors.coverage == pytest.approx(3 / 5)
    assert errors.n_frames == 3


def test_nothing_tracked_gives_no_numbers_but_no_crash():
    truth = truth_of(body())
    errors = video_errors(poses_of(truth.joints_root_m, truth.joints_img_px, [False] * 4), truth)
    assert (errors.n_frames, errors.coverage, errors.mpjpe_mm, errors.pck02_torso) == (0, 0.0, None, None)
    assert json.dumps(errors.as_summary(), allow_nan=False)


def test_poses_beyond_the_truth_are_left_out():
    truth = truth_of(body(3))
    joints = np.concatenate([truth.joints_root_m, truth.joints_root_m])
    errors = video_errors(poses_of(joints, np.concatenate([truth.joints_img_px] * 2)), truth)
    assert errors.n_frames == 3


def test_a_truth_file_is_read_into_camera_axes(tmp_path):
    cam = body(3) + np.array([0.0, 0.0, 5.0])
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3], world_from_cam[:3, 3] = rotation([1, 0, 0.2], 1.2), [3.0, 2.0, 1.0]
    world = cam @ world_from_cam[:3, :3].T + world_from_cam[:3, 3]
    img = cam[..., :2] / cam[..., 2:] * 800 + 240
    frames = [{"joints_world_m": w.tolist(), "joints_img_px": u.tolist()} for w, u in zip(world, img, strict=True)]
    data = {"fps": 50, "size_px": [480, 480], "world_from_cam": world_from_cam.tolist(), "frames": frames}
    path = tmp_path / "dive.truth.json"
    path.write_text(json.dumps(data))
    truth = Truth.read(path)
    assert truth.joints_cam_m == pytest.approx(cam)
    assert truth.joints_root_m == pytest.approx(cam - cam[:, :1])
    assert truth.rate_hz == 50
    assert truth_beside(tmp_path / "dive.mp4") == path
    assert truth_beside(tmp_path / "other.mp4") is None
    columns = data | {"joints_world_m": world.tolist(), "joints_img_px": img.tolist(), "frames": []}
    columns["world_from_cam"] = [world_from_cam.tolist()] * 3
    path.write_text(json.dumps(columns))
    assert Truth.read(path).joints_cam_m == pytest.approx(cam)
    assert Truth.read(path).in_view.tolist() == in_view(inside_picture(img, 480, 480)).tolist()
    path.write_text(json.dumps(columns | {"water_z_m": 1000.0}))
    assert not Truth.read(path).in_view.any()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frames": [{"joints_world_m": [[1, 2, 3]]}]}'])
def test_what_is_no_truth_file_is_told_in_one_line(tmp_path, text):
    path = tmp_path / "dive.truth.json"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"dive\.truth\.json: not a truth file") as error:
        Truth.read(path)
    assert "\n" not in str(error.value)
