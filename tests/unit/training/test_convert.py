"""A user's data sets into shards: joints in pictures, masks, resuming, checksums, one-line refusals, the command."""

import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from calibration.camera import Camera
from engines.skeleton import JOINT_NAMES
from tests.people import check_picture, check_share, drawn, shards_of, standing
from training.convert import cli, coco, h36m, lsp, photos, run
from training.errors import TrainingError

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
