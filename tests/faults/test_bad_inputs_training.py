"""What a user may wrongly type to the verbs of training: one line that names it and the remedy, exit code 2, and
nothing half-written left behind."""

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli import main
from tests.media import film

torch = pytest.importorskip("torch", reason="torch is not installed (posecast[train])")

from engines.store import MANIFEST  # noqa: E402
from training import flights  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.evaluate.report import write_report  # noqa: E402
from training.evaluate.result import Plot, Result  # noqa: E402
from training.evaluate.show import draw  # noqa: E402
from training.synth.shards import is_validation, write_shard  # noqa: E402

JPEG = cv2.imencode(".jpg", np.full((200, 200, 3), 90, np.uint8))[1].tobytes()
CUT_OFF = b"PK\x03\x04 cut off"


@pytest.fixture
def refused(monkeypatch, capfd):
    """Runs `posecast ARGUMENTS` and returns the one line that it refuses them with."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["posecast", *map(str, arguments)])
        capfd.readouterr()
        code = main()
        shown = capfd.readouterr()
        assert (code, shown.err.count("\n")) == (2, 1), shown.err
        return shown.err

    return run


@pytest.fixture
def blocked(tmp_path):
    """A folder that cannot be made: a file lies where its parent would be."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "out"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def written(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


# posecast data


def album(folder: Path, picture: bytes | None = JPEG) -> Path:
    """Three photographs with their joints."""
    names = [f"im{i}.jpg" for i in range(3)]
    joints = np.ones((3, 14, 3), np.float32)
    joints[..., 0], joints[..., 1] = np.linspace(40, 160, 14), np.linspace(160, 40, 14)
    folder.mkdir()
    np.savez(folder / "joints.npz", filename=names, joints=joints)
    for name in names if picture is not None else ():
        written(folder / "crops" / name, picture)
    return folder


@pytest.mark.parametrize("picture", [None, b"", b"no picture"])
def test_a_broken_photograph_leaves_neither_shard_nor_manifest(tmp_path, refused, picture):
    said = refused("data", "photos", album(tmp_path / "a", picture), "--out", tmp_path / "out")
    assert "im0.jpg" in said and "restore the file" in said
    assert files_in(tmp_path / "out") == []


def test_shards_that_cannot_be_written_name_the_folder_and_the_remedy(tmp_path, refused, blocked):
    said = refused("data", "photos", album(tmp_path / "a"), "--out", blocked)
    assert f"{blocked}: cannot be written (Not a directory); choose another --out" in said


def test_annotations_nested_without_end_are_no_crash(tmp_path, refused):
    written(tmp_path / "annotations" / "person_keypoints_train2017.json", "[" * 100_000)
    written(tmp_path / "train2017" / "a.jpg", JPEG)
    assert "not COCO's person keypoints" in refused("data", "coco", tmp_path, "--out", tmp_path / "out")


def test_joints_that_are_words_are_one_line(tmp_path, refused):
    from scipy.io import savemat

    (tmp_path / "images").mkdir()
    words = np.empty((3, 14, 1), object)
    words[...] = "left"
    savemat(tmp_path / "joints.mat", {"joints": words})
    assert "joints holds no numbers" in refused("data", "lsp", tmp_path, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"", "not a whole .npz file"),
        (CUT_OFF, "not a whole .npz file"),
        ({"pose/2d": np.full((4, 17, 2), "x")}, "pose/2d holds no numbers"),
        ({"camera": np.full(4, "x")}, "camera holds no numbers"),
        ({"frame": None}, "no array 'frame'"),
    ],
)
def test_takes_of_another_kind_are_one_line(tmp_path, refused, table, says):
    file = written(tmp_path / "S1" / "Walk" / "annot.npz", table if isinstance(table, bytes) else b"")
    if not isinstance(table, bytes):
        arrays = {"pose/2d": np.zeros((4, 17, 2)), "pose/3d": np.zeros((4, 17, 3)), "camera": np.ones(4)}
        arrays |= {"frame": np.arange(4)} | table
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    assert says in refused("data", "h36m", tmp_path, "--out", tmp_path / "out")


def test_a_verb_without_words_shows_its_help_alone(monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["posecast", "data"])
    assert main() == 2
    shown = capfd.readouterr()
    assert shown.err == "" and "photos" in shown.out


# posecast import


def test_an_imported_run_that_cannot_be_written_is_one_line(tmp_path, refused, blocked):
    from models.hrnet import build

    torch.save(build("w18_small_v2").state_dict(), tmp_path / "hrnet.pth")
    said = refused("import", "hrnet", tmp_path / "hrnet.pth", "--out", blocked)
    assert str(blocked) in said and "cannot be written" in said


def test_a_text_is_no_checkpoint(tmp_path, refused):
    said = refused("import", "hrnet", written(tmp_path / "a.pth", "hello"), "--out", tmp_path / "out")
    assert "a.pth: not a checkpoint that can be read (damaged, or no file of torch's); get the file anew" in said
    assert not (tmp_path / "out").exists()


# posecast eval


def test_a_missing_photograph_is_one_line_and_not_one_of_opencv_too(tmp_path, refused):
    said = refused("eval", "photos", "--data", album(tmp_path / "a", None), "--split", "all")
    assert "im0.jpg: no picture can be read here" in said


GIVEN = {
    "joints_img_px": np.random.default_rng(0).normal(300, 50, (3, 17, 2)),
    "joints_cam_m": np.random.default_rng(1).normal(0, 1, (3, 17, 3)),
    "camera": np.array([1000.0, 1000.0, 500.0, 500.0]),
}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"", "not a whole .npz file"),
        (b"junk", "not a whole .npz file"),
        (CUT_OFF, "not a whole .npz file"),
        ({"camera": np.array(["a"] * 4)}, "camera holds no numbers"),
        ({"joints_img_px": np.array(1.0)}, "joints_img_px has shape ()"),
        ({"camera": np.zeros(4)}, "expected fx, fy above 0"),
        ({"fps": np.array("fast")}, "fps holds no numbers"),
        ({"mask": np.array(["x"] * 17)}, "mask holds no numbers"),
        ({"joints_img_px": np.ones((3, 17, 2))}, "frame 0 has all its joints in one place"),
    ],
)
def test_given_poses_of_another_kind_are_one_line(tmp_path, refused, given, says):
    file = written(tmp_path / "mine.npz", given if isinstance(given, bytes) else b"")
    if not isinstance(given, bytes):
        np.savez(file, **(GIVEN | given))
    said = refused("eval", "lift", "--data", file)
    assert "mine.npz: " in said and says in said


def one_plot() -> Result:
    plot = Plot("lift", "Errors", ("a", "b"), {"posecast": (1.0, 2.0)}, "x", "mm")
    return Result("lift", "nothing", 1, (), (plot,))


def test_a_report_that_cannot_be_written_is_one_line(tmp_path, blocked):
    with pytest.raises(TrainingError, match=r"out/lift\.png: cannot be written \(Not a directory\); choose another"):
        write_report(blocked.with_suffix(".md"), [one_plot()], "")
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match=r"a\.md: not a report"):
        write_report(tmp_path / "a.md", [one_plot()], "")
    draw(one_plot().plots[0], tmp_path / "plots" / "lift.png")
    assert files_in(tmp_path / "plots") == ["lift.png"]


# posecast train


@pytest.fixture
def crops(tmp_path):
    """A folder of data with a shard of a few training crops, and a configuration that trains on them."""
    label = {"joints_crop_px": np.linspace(60, 220, 34).reshape(17, 2).tolist(), "labelled": [1] * 17, "side_px": 288}
    keys = [key for key in (f"s1-g{i:06d}-00" for i in range(40)) if not is_validation(key)]
    write_shard(tmp_path / "data" / "crops" / "crops-s1-00000.tar", [(key, JPEG, label) for key in keys[:4]])
    config = "[loop]\nsteps = 1\n[recipe]\nworkers = 0\nsizes = [[1.0, 64, 48, 2]]\n"
    written(tmp_path / "small.toml", config)
    return ["--data", tmp_path / "data", "--config", tmp_path / "small.toml", "--out", tmp_path / "out"]


@pytest.mark.parametrize(
    "words", ["--minutes 0", "--steps 0", "--minutes -1", "--steps -1", "--minutes nan", "--threads 0"]
)
def test_a_budget_that_is_none_is_one_line(tmp_path, refused, crops, words):
    assert words.split()[0].strip("-") in refused("train", "backbone", *crops, *words.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"\xff\xfe\x00", "not valid TOML"),
        ("loop = 3\n", "unknown table [loop]"),
        ('[loop]\nlr = "fast"\n', "lr is 'fast'; expected `float`, got `str`"),
        ("[loop]\nsteps = 1.5\n", "steps is 1.5; expected `int | null`"),
        ("[recipe]\nsizes = 3\n", "sizes is 3; expected `array`"),
        ("[recipe]\nsizes = [[1, 2]]\n", "expected `array` of length 4"),
        ("[recipe]\nworkers = -1\n", "workers is -1; expected 0 or more"),
        ('[recipe]\nvariant = "w99"\n', "HRNet variant 'w99' unknown; have w18_small_v2"),
    ],
)
def test_a_setting_of_another_kind_is_one_line(tmp_path, refused, crops, config, says):
    path = written(tmp_path / "other.toml", config)
    assert says in refused("train", "backbone", *crops, "--config", path)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_configuration(tmp_path, refused, crops):
    assert "no configuration (Is a directory)" in refused("train", "backbone", *crops, "--config", tmp_path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (b"junk", "not a whole .npz file"),
        ({"pos17": np.zeros((30, 17, 3))}, "no array 'ok'"),
        ({"pos17": np.zeros(3)}, "pos17 is (3,)"),
        ({"length": np.array([30, 30])}, "name, start and length differ"),
    ],
)
def test_motion_capture_of_another_kind_is_one_line(tmp_path, refused, table, says):
    file = written(tmp_path / "mocap" / "a.npz", table if isinstance(table, bytes) else b"")
    if not isinstance(table, bytes):
        rest = {"ok": np.ones(30, bool), "fps": 30, "name": np.array(["a"]), "start": np.array([0])}
        rest |= {"length": np.array([30]), "pos17": np.zeros((30, 17, 3))}
        np.savez(file, **(table if says.startswith("no array") else rest | table))
    said = refused("train", "align", "--mocap", file.parent, "--out", tmp_path / "out", "--steps", 1)
    assert "a.npz" in said and says in said and "expected pos17" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no readable checkpoint"),
        ({"last.safetensors": b"junk"}, "no readable checkpoint"),
        ({MANIFEST: b"junk"}, "not a manifest"),
        ({MANIFEST: b"{}"}, "holds no network that backbone can start from"),
        ({MANIFEST: b'{"hrnet_w18_small_v2": {"sha256": "0", "bytes": 4}}'}, "no file"),
        ({MANIFEST: True, "hrnet_w18_small_v2.onnx": b"junk"}, "no ONNX network to start from"),
    ],
)
def test_a_start_that_cannot_be_taken_leaves_no_run(tmp_path, refused, crops, files, says):
    row = {"sha256": hashlib.sha256(b"junk").hexdigest(), "bytes": 4}
    for name, content in files.items():
        whole = json.dumps({"hrnet_w18_small_v2": row}) if content is True else content
        written(tmp_path / "start" / name, whole)
    assert says in refused("train", "backbone", *crops, "--init-from", tmp_path / "start")
    assert not (tmp_path / "out").exists()


def test_a_run_that_cannot_be_written_is_one_line(refused, crops, blocked):
    assert f"{blocked}: cannot be written" in refused("train", "backbone", *crops, "--out", blocked)


@pytest.mark.parametrize("truth", ["junk", "[]", '{"size_px": [64, 48], "frames": []}'])
def test_a_truth_of_another_kind_is_one_line(tmp_path, truth):
    video = film(tmp_path / "dive.mp4", frames=3)
    written(tmp_path / "dive.truth.json", truth)
    with pytest.raises(TrainingError, match=r"dive\.truth\.json: not the truth of a camera at rest") as caught:
        flights.read_clip(video, 32, "median", 0.0)
    assert "\n" not in str(caught.value)


# posecast export


def test_a_run_of_another_network_is_one_line(tmp_path, refused):
    from safetensors.torch import save_file

    (tmp_path / "runs" / "track").mkdir(parents=True)
    header = {"header": json.dumps({"recipe": "track", "step": 1})}
    save_file({"ema/stn.x": torch.zeros(3)}, tmp_path / "runs" / "track" / "last.safetensors", header)
    said = refused("export", "stn", "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    assert "holds another stn than this version's; train it again" in said
    assert files_in(tmp_path / "out") == []


def test_a_manifest_that_cannot_be_gone_on_with_is_told_before_the_work(tmp_path, refused):
    written(tmp_path / "out" / MANIFEST, "junk")
    assert "not a manifest" in refused("export", "stn", "--untrained", "--out", tmp_path / "out")
    assert files_in(tmp_path / "out") == [MANIFEST]


def test_weights_that_cannot_be_written_are_one_line(refused, blocked):
    assert f"{blocked}: cannot be written" in refused("export", "stn", "--untrained", "--out", blocked)


# posecast synth


def test_a_dive_that_cannot_be_written_is_told_before_it_is_dived(refused, blocked):
    said = refused("synth", "dive", "--out", blocked)
    assert f"{blocked}: cannot be written (Not a directory); choose another --out" in said


@pytest.mark.parametrize("verb", ["crops", "scenes"])
@pytest.mark.parametrize("workers", [1, 2])
def test_shards_that_cannot_be_written_are_one_line(refused, blocked, verb, workers):
    said = refused("synth", verb, "--out", blocked, "--count", 10, "--workers", workers)
    assert f"{blocked}: cannot be written (Not a directory); choose another --out" in said


def test_a_preview_that_cannot_be_written_is_told_before_it_is_drawn(refused, blocked):
    said = refused("synth", "preview", "--out", blocked / "sheet.png")
    assert f"{blocked / 'sheet.png'}: cannot be written (Not a directory); choose another --out" in said


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_a_preview_needs_the_name_of_a_picture(tmp_path, refused, name):
    assert "use one ending in .png or .jpg" in refused("synth", "preview", "--out", tmp_path / name)
    assert files_in(tmp_path) == []


def test_a_shard_broken_off_leaves_nothing(tmp_path):
    def samples():
        yield "s1-g000000-00", JPEG, {}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.tar", samples())
    assert files_in(tmp_path) == []
    write_shard(tmp_path / "a.tar", [("s1-g000000-00", JPEG, {})])
    assert tarfile.is_tarfile(tmp_path / "a.tar")
