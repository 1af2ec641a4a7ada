"""A user's data sets into shards: geometry, masks, left and right, resuming, checksums, one-line refusals."""

import json

import av
import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from calibration.camera import Camera
from engines.skeleton import BONES, JOINT_NAMES, LEFT, MIRROR, RIGHT
from training.convert import cli, coco, crop, h36m, lsp, mpi_inf_3dhp, photos, run
from training.errors import TrainingError
from training.synth.shards import is_validation, read_shard


def standing(root=(0.3, -0.2, 4.0)):
    """Joints (17, 3) of somebody who faces the camera: the right side is on the left of the picture."""
    places = {
        "pelvis": (0, 0), "right_hip": (-0.13, 0), "right_knee": (-0.14, 0.45), "right_ankle": (-0.15, 0.9),
        "left_hip": (0.13, 0), "left_knee": (0.14, 0.45), "left_ankle": (0.15, 0.9), "spine": (0, -0.25),
        "thorax": (0, -0.5), "nose": (0, -0.6), "head": (0, -0.72), "left_shoulder": (0.18, -0.48),
        "left_elbow": (0.3, -0.2), "left_wrist": (0.35, 0.05), "right_shoulder": (-0.18, -0.48),
        "right_elbow": (-0.3, -0.2), "right_wrist": (-0.35, 0.05),
    }  # fmt: skip
    depth = 0.05 * np.arange(17) % 0.17
    return np.array([[*places[name], z] for name, z in zip(JOINT_NAMES, depth, strict=True)]) + root


def drawn(points, size):
    """A dark picture with a bright dot at every joint, red on the right side, green on the left, blue between."""
    picture = np.full((size[1], size[0], 3), 30, np.uint8)
    for joint, (u, v) in enumerate(points):
        colour = (0, 0, 255) if joint in RIGHT else (0, 255, 0) if joint in LEFT else (255, 0, 0)
        cv2.circle(picture, (round(16 * u), round(16 * v)), 16 * max(3, size[0] // 180), colour, -1, cv2.LINE_AA, 4)
    return picture


def seen_at(jpeg, label):
    """Where the crop's dots really are, by the middle of their colour around each label; (17, 2), NaN unlabelled."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float)
    assert picture.shape == (label["side_px"], label["side_px"], 3)
    found = np.full((17, 2), np.nan)
    for joint, (u, v) in enumerate(label["joints_crop_px"]):
        if label["labelled"][joint]:
            x, y, r = round(u), round(v), max(4, label["side_px"] // 40)
            patch = picture[max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
            weight = patch[..., 2 if joint in RIGHT else 1 if joint in LEFT else 0] - 60
            weight = weight.clip(0) * (weight > 50)
            if weight.sum() > 0:
                rows, columns = np.mgrid[: patch.shape[0], : patch.shape[1]]
                middle = [(weight * axis).sum() / weight.sum() for axis in (columns, rows)]
                found[joint] = np.add(middle, (max(x - r, 0), max(y - r, 0)))
    return found


def check_picture(jpeg, label, joints=None, within=1.3):
    """The dots lie where the label says, in the colour of their side."""
    off = np.linalg.norm(seen_at(jpeg, label) - label["joints_crop_px"], axis=1)
    chosen = [i for i in range(17) if label["labelled"][i]] if joints is None else joints
    assert np.nanmax(off[chosen]) < within, off
    assert not np.isnan(off[chosen]).any()


def check_share(label):
    points = np.array(label["joints_crop_px"])[np.array(label["labelled"], bool)]
    assert np.ptp(points, axis=0).max() / label["side_px"] == pytest.approx(0.6, abs=0.02)
    assert points.min() > 0
    assert points.max() < label["side_px"] - 1


def shards_of(folder):
    return [sample for path in sorted(folder.glob("*.tar")) for sample in read_shard(path)]


# COCO


@pytest.fixture
def coco_folder(tmp_path):
    """Two pictures; the first with two people, a crowd and somebody of two joints."""
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    camera = Camera(400, 400, 300.0, (199.5, 199.5))
    points = camera.project(standing((-0.2, -0.1, 3.0)))
    keypoints = np.array([[*points[JOINT_NAMES.index(n)], 2] if n in JOINT_NAMES else [0, 0, 0] for n in coco.NAMES])
    hidden = keypoints.copy()
    hidden[coco.NAMES.index("left_wrist"), 2] = 1
    hidden[coco.NAMES.index("left_hip")] = 0

    def row(number, image, rows, **other):
        return {
            "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [1, 1, 100, 200],
            "keypoints": np.ravel(rows).tolist(), "num_keypoints": int((rows[:, 2] > 0).sum()), **other,
        }  # fmt: skip

    few = np.where(np.arange(17)[:, None] < 2, keypoints, 0)
    rows = [row(7, 1, keypoints), row(8, 1, hidden), row(9, 1, keypoints, iscrowd=1), row(10, 1, few)]
    rows.append(row(11, 2, keypoints))
    images = [{"id": n, "file_name": f"{n:012d}.jpg"} for n in (1, 2)]
    categories = [{"id": 1, "name": "person", "keypoints": list(coco.NAMES)}]
    table = folder / "annotations" / "person_keypoints_val2017.json"
    table.write_text(json.dumps({"images": images, "annotations": rows, "categories": categories}))
    for n in (1, 2):
        cv2.imwrite(str(folder / "val2017" / f"{n:012d}.jpg"), drawn(points, (400, 400)))
    return folder


def test_coco_people_become_crops_with_masks(coco_folder, tmp_path):
    count = run.convert(coco.read(coco_folder, "val2017"), tmp_path / "out")
    samples = shards_of(tmp_path / "out")
    assert count == len(samples) == 3
    keys = [key for key, _, _ in samples]
    assert keys[0].rpartition("-")[0] == keys[1].rpartition("-")[0] != keys[2].rpartition("-")[0]
    assert len(set(keys)) == 3
    _, jpeg, whole = samples[0]
    check_picture(jpeg, whole, [i for i in range(17) if i not in (0, 8) and whole["labelled"][i]])
    check_share(whole)
    assert "joints_cam_m" not in whole
    names = {name for name, flag in zip(JOINT_NAMES, whole["labelled"], strict=True) if flag}
    assert names == set(JOINT_NAMES) - {"spine", "nose", "head"}
    hips = np.array(whole["joints_crop_px"])[[1, 4]]
    assert whole["joints_crop_px"][0] == pytest.approx(hips.mean(0), abs=0.02)
    assert hips[0, 0] < hips[1, 0]  # the right hip of somebody who faces us is on the left
    _, _, part = samples[1]
    wrist, hip = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("left_hip")
    assert (part["labelled"][wrist], part["visible"][wrist]) == (1, 0)
    assert (part["labelled"][hip], part["labelled"][0]) == (0, 0)


def test_a_second_run_keeps_shards_and_verifies_files(coco_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PER_SHARD", 2)
    out = tmp_path / "out"
    run.convert(coco.read(coco_folder, "val2017"), out)
    first, second = sorted(out.glob("*.tar"))
    before, bytes_second = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    told = []
    run.convert(coco.read(coco_folder, "val2017"), out, progress=told.append)
    assert told == [2, 3]
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == bytes_second
    second.unlink()
    picture = coco_folder / "val2017" / "000000000002.jpg"
    cv2.imwrite(str(picture), np.zeros((400, 400, 3), np.uint8))
    with pytest.raises(TrainingError, match="checksum differs"):
        run.convert(coco.read(coco_folder, "val2017"), out)
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".tar"]  # nothing half-written
    table = coco_folder / "annotations" / "person_keypoints_val2017.json"
    table.write_text(table.read_text() + " ")
    with pytest.raises(TrainingError, match=r"person_keypoints_val2017.json: checksum differs"):
        run.convert(coco.read(coco_folder, "val2017"), out)


def test_other_settings_need_another_folder(coco_folder, tmp_path):
    found = coco.read(coco_folder, "val2017")
    run.convert(found, tmp_path / "out")
    other = run.DataSet(found.name, found.folder, found.athletes, found.annotations, {"split": "train2017"})
    with pytest.raises(TrainingError, match="choose another --out"):
        run.convert(other, tmp_path / "out")


def test_several_processes_write_the_same_bytes(coco_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PER_SHARD", 2)
    for workers in (1, 2):
        run.convert(coco.read(coco_folder, "val2017"), tmp_path / str(workers), workers)
    one, two = ([path.read_bytes() for path in sorted((tmp_path / w).iterdir())] for w in ("1", "2"))
    assert one == two
    assert len(one) == 3


def test_a_missing_picture_ends_all_processes_without_leftovers(coco_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PER_SHARD", 2)
    (coco_folder / "val2017" / "000000000002.jpg").unlink()
    with pytest.raises(TrainingError, match=r"000000000002.jpg: no picture can be read here"):
        run.convert(coco.read(coco_folder, "val2017"), tmp_path / "out", workers=2)
    assert not list((tmp_path / "out").glob("*.part"))


# Leeds Sports Pose


@pytest.mark.parametrize("extended", [False, True])
def test_lsp_flags_mean_hidden_and_in_the_extension_labelled(tmp_path, extended):
    folder = tmp_path / "lsp"
    (folder / "images").mkdir(parents=True)
    points = Camera(300, 300, 220.0, (149.5, 149.5)).project(standing((0, 0, 3.0)))
    order = [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]
    joints = np.concatenate([points[order], np.full((14, 1), float(extended))], axis=1)
    joints[10, 2] = 1 - float(extended)  # left elbow
    savemat(folder / "joints.mat", {"joints": joints[:, :, None] if extended else joints.T[:, :, None]})
    name = "im00001.jpg" if extended else "im0001.jpg"
    cv2.imwrite(str(folder / "images" / name), drawn(points, (300, 300)))
    run.convert(lsp.read(folder), tmp_path / "out")
    ((key, jpeg, label),) = shards_of(tmp_path / "out")
    elbow, wrist = JOINT_NAMES.index("left_elbow"), JOINT_NAMES.index("left_wrist")
    assert key == f"lsp-{name[:-4]}-00"
    assert label["labelled"][elbow] == (0 if extended else 1)
    assert label["visible"][elbow] == 0
    assert (label["labelled"][wrist], label["visible"][wrist]) == (1, 1)
    check_picture(jpeg, label, [1, 2, 3, 4, 5, 6, 11, 13, 14, 15, 16])


# Photographs


@pytest.fixture
def photos_folder(tmp_path):
    """One photograph of 1200 px with a fine pattern; a second row has three joints only."""
    folder = tmp_path / "photos"
    (folder / "crops").mkdir(parents=True)
    points = Camera(1200, 1200, 1400.0, (599.5, 599.5)).project(standing((0, -0.1, 2.6)))
    rows = np.zeros((2, 14, 3), np.float32)
    rows[0] = np.column_stack([points[[3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]], np.ones(14)])
    rows[0, 6, 2] = 0  # right wrist
    rows[1, :3] = rows[0, :3]
    np.savez(folder / "joints.npz", filename=["im00001.jpg", "im00002.jpg"], joints=rows, joint_names=photos.NAMES)
    picture = drawn(points, (1200, 1200))
    picture[:200:2] = 255  # lines of one pixel
    cv2.imwrite(str(folder / "crops" / "im00001.jpg"), picture)
    return folder


def test_photographs_keep_keys_and_fields_and_are_averaged_when_they_shrink(photos_folder, tmp_path):
    assert run.convert(photos.read(photos_folder), tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photos-00000.tar", "photos.manifest.json"]
    ((key, jpeg, label),) = shards_of(tmp_path / "out")
    assert key == "lsp-im00001-00"
    assert set(label) == {"joints_crop_px", "labelled", "visible", "side_px", "source"}
    assert (label["source"], label["side_px"]) == ("photo", 288)
    wrist = JOINT_NAMES.index("right_wrist")
    assert (label["labelled"][wrist], label["visible"][wrist], label["joints_crop_px"][wrist]) == (0, 0, [0, 0])
    check_picture(jpeg, label, [1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14, 15])
    check_share(label)
    # The top of the crop shows the lines, several to a pixel: grey, not black and white by chance.
    lines = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)[4:20]
    assert 100 < lines.min() <= lines.max() < 185


def test_shards_without_their_manifest_are_not_gone_on_with(photos_folder, tmp_path):
    out = tmp_path / "out"
    run.convert(photos.read(photos_folder), out)
    (out / "photos.manifest.json").unlink()
    with pytest.raises(TrainingError, match=r"photos-00000.tar: nothing tells .* delete the photos shards or choose"):
        run.convert(photos.read(photos_folder), out)
    assert [path.name for path in out.iterdir()] == ["photos-00000.tar"]


def test_joints_that_are_no_numbers_are_one_line(photos_folder, tmp_path):
    with np.load(photos_folder / "joints.npz") as file:
        values = dict(file)
    values["joints"][0, 0, 0] = np.nan
    np.savez(photos_folder / "joints.npz", **values)
    with pytest.raises(TrainingError, match=r"joints of lsp-im00001-00 are no numbers"):
        run.convert(photos.read(photos_folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# 3D


LENS = Camera(1000, 1002, 1145.0, (512.0, 515.0), (-0.2, 0.24, 0.0, -0.001, -0.0015), 1.0005)


@pytest.fixture(scope="module")
def h36m_folder(tmp_path_factory):
    """Two takes of one camera and one: as h5 with pictures, as npz with a video; the subject goes about the room."""
    folder = tmp_path_factory.mktemp("h36m")
    rng = np.random.default_rng(3)
    roots = [(x, y, z) for x in (-1.3, 0.4, 1.4) for y in (-0.9, 0.0, 0.8) for z in (4.0, 5.5)]
    joints = np.stack([standing(root) + rng.normal(0, 0.01, (17, 3)) for root in roots])
    wide = np.zeros((len(joints), 32, 3))
    wide[:, list(h36m.OF_32)] = joints
    flat = np.zeros((len(joints), 32, 2))
    flat[:, list(h36m.OF_32)] = LENS.project(joints)
    frames = np.arange(1, len(joints) + 1)
    take = folder / "S1" / "Directions-1"
    pictures = take / "imageSequence" / "54138969"
    pictures.mkdir(parents=True)
    with h5py.File(take / "annot.h5", "w") as file:
        file["pose/2d"], file["pose/3d"] = flat, 1000 * wide
        file["camera"], file["frame"] = np.full(len(joints), 54138969), frames
    for number in (1, 10):
        cv2.imwrite(str(pictures / f"img_{number:06d}.jpg"), drawn(LENS.project(joints[number - 1]), (1000, 1002)))
    take = folder / "S1" / "Walking 1"
    (take / "imageSequence").mkdir(parents=True)
    np.savez(
        take / "annot.npz",
        **{"pose/2d": LENS.project(joints), "pose/3d": 1000 * joints, "frame": frames},
        camera=np.full(len(joints), 55011271),
    )
    with av.open(str(take / "imageSequence" / "55011271.avi"), "w") as video:
        stream = video.add_stream("mjpeg", rate=50)
        stream.width, stream.height, stream.pix_fmt = 1000, 1002, "yuvj420p"
        for pose in joints[:10]:
            picture = drawn(LENS.project(pose), (1000, 1002))
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        video.mux(stream.encode())
    return folder


def check_solid(label):
    """2D labels are the projection of the 3D labels by a pinhole in the middle of the crop."""
    joints = np.array(label["joints_cam_m"]) + label["root_cam_m"]
    middle = (label["side_px"] - 1) / 2
    projected = joints[:, :2] / joints[:, 2:] * label["focal_crop_px"] + middle
    assert np.abs(projected - label["joints_crop_px"]).max() < 0.2
    assert np.allclose(label["joints_cam_m"][0], 0)


def test_h36m_crops_are_pinhole_pictures_of_a_turned_camera(h36m_folder, tmp_path):
    run.convert(h36m.read(h36m_folder, every=9), tmp_path / "out")
    samples = {key: (jpeg, label) for key, jpeg, label in shards_of(tmp_path / "out")}
    assert list(samples) == [
        "h36m-gS1_Directions-1-54138969_000001", "h36m-gS1_Directions-1-54138969_000010",
        "h36m-gS1_Walking_1-55011271_000001", "h36m-gS1_Walking_1-55011271_000010",
    ]  # fmt: skip
    assert len({is_validation(key) for key in list(samples)[:2]}) == 1
    distance = []
    for jpeg, label in samples.values():
        check_solid(label)
        check_share(label)
        check_picture(jpeg, label)
        assert label["labelled"] == [1] * 17
        distance.append(np.linalg.norm(label["root_cam_m"]))
    # A turn keeps distances: the first root stands at (-1.3, -0.9, 4.0), the tenth at (0.4, 0, 5.5).
    assert distance == pytest.approx([np.linalg.norm(v) for v in ((-1.3, -0.9, 4.0), (0.4, 0, 5.5))] * 2, abs=0.05)


def test_the_lens_is_found_from_labels_and_a_pinhole_would_miss(h36m_folder):
    with h5py.File(h36m_folder / "S1" / "Directions-1" / "annot.h5") as file:
        points, joints = file["pose/2d"][:, list(h36m.OF_32)], file["pose/3d"][:, list(h36m.OF_32)] / 1000
    lens, pinhole = (crop.fitted_camera(joints, points, h36m.SIZE_PX, flag, "x") for flag in (True, False))
    assert np.abs(lens.project(joints) - points).max() < 0.05
    assert np.abs(pinhole.project(joints) - points).max() > 1.0
    assert lens.focal_px == pytest.approx(1145, abs=1)
    with pytest.raises(TrainingError, match="3D labels miss the 2D labels"):
        crop.fitted_camera(joints, points[:, list(MIRROR)], h36m.SIZE_PX, True, "x")


def test_a_video_that_ends_early_is_named(h36m_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"55011271.avi: frame 10 is labelled, the video ends before"):
        run.convert(run.DataSet("x", h36m_folder, h36m.read(h36m_folder, every=5).athletes[4:], []), tmp_path)
    assert not list(tmp_path.glob("*.tar")) + list(tmp_path.glob("*.part"))


def test_mpi_inf_3dhp_joints_by_name(tmp_path):
    folder = tmp_path / "3dhp" / "S2" / "Seq1"
    (folder / "imageFrames" / "video_4").mkdir(parents=True)
    camera = Camera(2048, 2048, 1500.0, (1024.0, 1050.0))
    roots = [(-0.5, 0.1, 3.5), (0.6, -0.1, 4.2), (0.1, 0.3, 3.0), (0.3, -0.3, 5.0), (-0.9, -0.2, 4.0), (0.9, 0.3, 4.6)]
    ours = np.stack([standing(root) for root in roots])
    full = np.repeat(ours[:, :1], 28, axis=1)
    named = {"thorax": "neck", "nose": "head", "head": "head_top"}
    for joint, name in enumerate(JOINT_NAMES):
        full[:, mpi_inf_3dhp.ALL.index(named.get(name, name))] = ours[:, joint]
    annot2, annot3 = (np.empty((14, 1), object) for _ in range(2))
    for c in range(14):
        annot2[c, 0], annot3[c, 0] = camera.project(full).reshape(6, 56), 1000 * full.reshape(6, 84)
    savemat(folder / "annot.mat", {"annot2": annot2, "annot3": annot3, "frames": np.arange(6)})
    for row in (0, 5):
        picture = drawn(camera.project(ours[row]), (2048, 2048))
        cv2.imwrite(str(folder / "imageFrames" / "video_4" / f"frame_{row + 1:06d}.jpg"), picture)
    run.convert(mpi_inf_3dhp.read(tmp_path / "3dhp"), tmp_path / "out")
    samples = shards_of(tmp_path / "out")
    assert [key for key, _, _ in samples] == ["mpi3dhp-gS2_Seq1-4_000000", "mpi3dhp-gS2_Seq1-4_000005"]
    for _, jpeg, label in samples:
        check_solid(label)
        check_share(label)
        assert [n for n, flag in zip(JOINT_NAMES, label["labelled"], strict=True) if not flag] == ["nose"]
        check_picture(jpeg, label, [i for i in range(17) if JOINT_NAMES[i] not in ("nose", "head")])
    head = np.array(samples[0][2]["joints_cam_m"])[[8, 10]]
    assert np.linalg.norm(head[1] - head[0]) == pytest.approx(0.75 * np.linalg.norm(ours[0, 10] - ours[0, 8]), abs=1e-3)


def test_bones_keep_their_lengths(h36m_folder, tmp_path):
    run.convert(h36m.read(h36m_folder, every=9), tmp_path)
    _, _, label = shards_of(tmp_path)[0]
    with h5py.File(h36m_folder / "S1" / "Directions-1" / "annot.h5") as file:
        truth = file["pose/3d"][0, list(h36m.OF_32)] / 1000
    made = np.array(label["joints_cam_m"])
    for a, b in BONES:
        assert np.linalg.norm(made[a] - made[b]) == pytest.approx(np.linalg.norm(truth[a] - truth[b]), abs=3e-4)
    # A turned camera is no mirror: the triple product of three directions keeps its sign.
    assert np.sign(np.linalg.det(made[[1, 8, 13]])) == np.sign(np.linalg.det((truth - truth[0])[[1, 8, 13]]))


# Command line


@pytest.mark.parametrize(
    ("verb", "shown"),
    [
        ("coco", "annotations/person_keypoints_SPLIT.json"),
        ("lsp", "joints.mat"),
        ("h36m", "annot.h5"),
        ("mpi-inf-3dhp", "annot.mat"),
        ("photos", "joints.npz"),
    ],
)
def test_a_wrong_folder_is_one_line_that_shows_the_layout(tmp_path, verb, shown):
    result = CliRunner().invoke(cli.data, [verb, str(tmp_path), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert isinstance(result.exception, cli.Refused)
    line = result.exception.format_message()
    assert result.exception.exit_code == 2
    assert "\n" not in line
    assert "expected" in line
    assert shown in line
    assert not (tmp_path / "out").exists()


def test_the_command_converts_and_says_how_many(coco_folder, tmp_path):
    arguments = ["coco", str(coco_folder), "--split", "val2017", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.data, arguments)
    assert result.exit_code == 0, result.output
    assert "3 athletes of coco, 0 left out" in result.output


@pytest.mark.parametrize("damage", [b"", b"no zip", b"PK\x03\x04 cut off"])
def test_a_damaged_table_of_photographs_is_one_line(photos_folder, damage):
    (photos_folder / "joints.npz").write_bytes(damage)
    with pytest.raises(TrainingError, match=r"joints\.npz: not a whole \.npz file") as caught:
        photos.read(photos_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["json", "order", "mat", "npz"])
def test_damaged_annotations_are_one_line(coco_folder, tmp_path, damage):
    table = coco_folder / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(table.read_text())
    content["categories"][0]["keypoints"].reverse()
    other = tmp_path / "other"
    (other / "images").mkdir(parents=True)
    (other / "joints.mat").write_bytes(b"no matlab")
    (other / "S1" / "A-1").mkdir(parents=True)
    (other / "S1" / "A-1" / "annot.npz").write_bytes(b"no zip")
    if damage in ("json", "order"):
        table.write_text("{" if damage == "json" else json.dumps(content))
    read = {"json": coco.read, "order": coco.read, "mat": lsp.read, "npz": h36m.read}[damage]
    with pytest.raises(TrainingError) as caught:
        read(coco_folder, "val2017") if read is coco.read else read(other)
    assert "\n" not in str(caught.value)
