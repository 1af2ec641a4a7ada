"""What one may wrongly type at `posecast calibrate`: one line with the remedy, exit code 2, no half-written file."""

import cv2
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.store import Calibration, as_toml
from tests.posecast import SAMPLE, refused


def grey_pictures(folder):
    folder.mkdir()
    for index in range(2):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((120, 160), 128, np.uint8))
    return folder


def bad_camera(path, old: str, new: str):
    text = as_toml(Calibration(Camera(1920, 1080, 1500.0, (959.5, 539.5), model="opencv")))
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_a_focal_length_of_five_pixels(tmp_path):
    path = bad_camera(tmp_path / "camera.toml", "focal_px = 1500.0", "focal_px = 5.0")
    said = refused(tmp_path, "calibrate", "show", path, "--out", tmp_path / "show.png", names="camera.toml")
    assert "camera.focal_px: 5 pixels is no lens for a picture of 1920 x 1080; expected 384 to" in said


def test_an_unknown_key_names_the_nearest(tmp_path):
    path = bad_camera(tmp_path / "camera.toml", "centre_px", "center_px")
    assert "did you mean 'centre_px'?" in refused(tmp_path, "calibrate", "show", path)


def test_a_camera_file_that_is_not_there(tmp_path):
    refused(tmp_path, "calibrate", "show", tmp_path / "missing.toml", names="missing.toml")


@pytest.mark.parametrize("name", ["missing.mp4", "text.mp4", "nothing"])
def test_sources_that_cannot_be_read(tmp_path, name):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "nothing").mkdir()
    refused(tmp_path, "calibrate", "intrinsics", tmp_path / name, "--out", tmp_path / "camera.toml", names=name)


def test_credentials_of_a_camera_are_not_shown(tmp_path):
    source = "rtsp://user:secret@127.0.0.1:1"
    said = refused(tmp_path, "calibrate", "intrinsics", source, "--out", tmp_path / "camera.toml", names="127.0.0.1:1")
    assert "secret" not in said


def test_pictures_without_a_board(tmp_path):
    folder = grey_pictures(tmp_path / "grey")
    said = refused(tmp_path, "calibrate", "intrinsics", folder, "--out", tmp_path / "camera.toml", names="grey")
    assert "no ChArUco board with 5x5 markers, 9 x 6 squares of 28 mm in 2 pictures; show the whole board" in said


@pytest.mark.parametrize(
    ("verb", "options", "says"),
    [
        ("board", ("--square-mm", "90"), "do not fit on A4"),
        ("board", ("--columns", "2"), "3 to 30 columns"),
        ("board", ("--paper", "letter"), "letter"),
        ("board", ("--kind", "dots"), "dots"),
        ("intrinsics", (SAMPLE, "--rows", "0"), "3 to 30 columns"),
        ("intrinsics", (SAMPLE, "--model", "pinhole"), "pinhole"),
    ],
)
def test_options_that_cannot_be(tmp_path, verb, options, says):
    out = tmp_path / ("board.pdf" if verb == "board" else "camera.toml")
    assert says in refused(tmp_path, "calibrate", verb, *options, "--out", out)


def test_results_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    blocked = tmp_path / "file" / "out"
    refused(tmp_path, "calibrate", "board", "--out", blocked / "board.pdf", names=str(blocked))
    refused(tmp_path, "calibrate", "intrinsics", SAMPLE, "--out", blocked / "camera.toml", names=str(blocked))


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("dear diary", (), "neither TOML nor what OpenCV writes"),
        ("<html/>", (), "XML of 'html'"),
        ("[a]\nmatrix = [[1]]\n", (), "a: size is missing"),
        ("%YAML:1.0\n---\nfoo: 3\n", (), "no camera matrix"),
        ("%YAML:1.0\n---\nfoo: 3\n", ("--size", "large"), "expected WIDTHxHEIGHT"),
    ],
)
def test_files_that_are_no_calibration(tmp_path, text, options, says):
    path = tmp_path / "calibration.any"
    path.write_text(text, encoding="utf-8")
    assert says in refused(tmp_path, "calibrate", "import", path, "--out", tmp_path / "camera.toml", *options)
