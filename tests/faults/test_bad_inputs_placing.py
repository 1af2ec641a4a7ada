"""What one may wrongly type at `posecast calibrate extrinsics` and `gravity`: one line with the remedy, exit code 2, no
half-written file."""

import pytest

from calibration.camera import Camera
from calibration.store import Calibration, save
from tests.posecast import refused


@pytest.fixture
def camera(tmp_path):
    save(tmp_path / "camera.toml", Calibration(Camera(1920, 1080, 1500.0, (959.5, 539.5), model="opencv")))
    return tmp_path / "camera.toml"


LISTS = {
    "not there": (None, "--click VIDEO writes such a list"),
    "empty": ("", "expected columns name, u, v"),
    "other columns": ("point,x_px,y_px\nfront-left,1,2\n", "expected columns name, u, v"),
    "nothing filled in": ("name,u,v\nfront-left,,\nfront-right,,\n", "0 points are not enough"),
    "no number": ("name,u,v\nfront-left,12,about 50\n", "line 2: v of 'front-left' is 'about 50'"),
    "half filled in": ("name,u,v\nfront-left,12,\n", "line 2: v of 'front-left' is nothing"),
    "unknown point": ("name,u,v\nfrontleft,12,13\n", "where 'frontleft' is, is not known (have front-left"),
    "the same twice": ("name,u,v\nfront-left,1,2\nfront-left,1,2\n", "front-left is there twice"),
    "binary": (b"\xff\xfe\x00", "not a text file"),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_points_that_cannot_be_used(tmp_path, camera, name) -> None:
    content, said = LISTS[name]
    points = tmp_path / "points.csv"
    if content is not None:
        points.write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = (camera, "--template", "platform-10", "--points", points, "--out", tmp_path / "out.toml")
    assert said in refused(tmp_path, "calibrate", "extrinsics", *arguments, names="points.csv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--template", "platform10", "--list"], "did you mean platform-10?"),
        (["--width", "3", "--list"], "measures of a --template"),
        (["--template", "platform-5", "--thickness", "-1", "--list"], "expected 0 to 10 metres"),
        (["--template", "platform-5"], "--out is missing"),
        (["--click", "missing.mp4", "--template", "platform-5"], "missing.mp4"),
        (["--several", "--out", "x"], "expected two cameras or more"),
        (["--out", "x.toml", "--template", "platform-5"], "give a camera file, or --size"),
        (["--out", "x.toml", "--size", "big"], "expected WIDTHxHEIGHT"),
    ],
)
def test_options_that_make_no_sense(tmp_path, arguments, said) -> None:
    refused(tmp_path, "calibrate", "extrinsics", "--points", tmp_path / "points.csv", *arguments, names=said)


def test_poses_that_are_none(tmp_path, camera) -> None:
    (tmp_path / "poses.npz").write_bytes(b"no poses")
    out = ("--out", tmp_path / "out.toml")
    refused(
        tmp_path,
        "calibrate",
        "gravity",
        camera,
        "--dives",
        tmp_path / "poses.npz",
        *out,
        names="poses.npz: not the poses of",
    )
    refused(tmp_path, "calibrate", "gravity", camera, *out, names="no poses given")
    refused(
        tmp_path,
        "calibrate",
        "gravity",
        tmp_path / "none.toml",
        "--dives",
        "a.npz",
        *out,
        names="none.toml: cannot be read",
    )
