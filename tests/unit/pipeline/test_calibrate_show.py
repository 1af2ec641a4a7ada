"""What `calibrate show` says and draws of a camera file, and `calibrate import` makes of another's."""

import io

import cv2
import numpy as np
import pytest
from rich.console import Console

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.store import Board, Calibration, load, save
from pipeline.calibrate.imported import import_camera, size_px
from pipeline.calibrate.scene_plot import _levelled, draw
from pipeline.calibrate.show import described, fields_of_view_deg, show_camera, tilt_deg
from training.synth.camera import looking

LENS = Camera(1920, 1080, 1450.0, (970.0, 535.0), (-0.12, 0.02), 1.0, "opencv")
FISHEYE = Camera(1280, 720, 420.0, (639.5, 359.5), (0.01,), model="fisheye")
PLATFORM = Board("platform", 10.0, 3.0, 6.0)


def placed() -> Calibration:
    pose = looking(np.array([3.0, -14.0, -2.0]), np.array([1.5, 0.0, -4.0]), 1450, (1920, 1080)).world_from_cam
    return Calibration(LENS, pose, board=PLATFORM, reprojection_px=0.31, focal_sd_px=2.5, source="by hand", name="left")


def shown(path, out=None) -> str:
    said = io.StringIO()
    show_camera(path, out, Console(file=said, width=160))
    return said.getvalue()


def test_a_placed_camera_says_where_it_stands(tmp_path):
    path = tmp_path / "left.toml"
    save(path, placed())
    text = shown(path)
    for words in (
        "left",
        "by hand",
        "1450.0 px (sd 2.5)",
        "0.31 px",
        "x 3.00, y -14.00, z -2.00 m",
        "platform, 10 m above the water, 3 m wide, 6 m long",
        "degrees down, roll",
    ):
        assert words in text
    assert not (tmp_path / "left.png").exists()


@pytest.mark.parametrize(
    ("gravity", "pitch", "roll"),
    [
        ((0, 1, 0), 0, 0),
        ((0, np.cos(0.3), np.sin(0.3)), np.rad2deg(0.3), 0),
        ((-np.sin(0.2), np.cos(0.2), 0), 0, np.rad2deg(0.2)),
    ],
)
def test_tilt_follows_from_gravity(gravity, pitch, roll):
    assert tilt_deg(Calibration(LENS, gravity_cam=np.array(gravity))) == pytest.approx((pitch, roll), abs=1e-9)


def test_fields_of_view():
    plain = Camera(1920, 1080, 960.0, (959.5, 539.5), model="opencv")
    assert fields_of_view_deg(plain) == pytest.approx((90.0, 2 * np.rad2deg(np.arctan(540 / 960))))
    assert fields_of_view_deg(Camera(2000, 1000, 300.0, (999.5, 499.5), model="fisheye"))[1] == pytest.approx(
        np.rad2deg(1000 / 300)
    ) or np.isnan(fields_of_view_deg(Camera(2000, 1000, 300.0, (999.5, 499.5), model="fisheye"))[0])


def test_what_is_not_known_is_said():
    rows = dict(described(Calibration(Camera(640, 480, 500.0, (320.0, 240.0)))))
    assert "not known" in rows["place"]
    assert (rows["distortion"], rows["board"], rows["camera"]) == ("none", "none", "without a name")


CASES = {
    "placed": placed(),
    "springboard": Calibration(LENS, placed().world_from_cam, board=Board("springboard", 3.0, 0.5, 4.8)),
    "no board": Calibration(LENS, placed().world_from_cam),
    "gravity alone": Calibration(LENS, gravity_cam=np.array([0.6, 0.8, 0.0])),
    "straight down": Calibration(LENS, gravity_cam=np.array([0.0, 0.0, 1.0])),
    "nothing": Calibration(LENS),
    "fisheye": Calibration(FISHEYE, placed().world_from_cam, board=PLATFORM),
}


@pytest.mark.parametrize("name", CASES)
def test_every_camera_can_be_drawn(tmp_path, name):
    path = tmp_path / "camera.toml"
    save(path, CASES[name])
    shown(path, tmp_path / "show.png")
    picture = cv2.imread(str(tmp_path / "show.png"))
    assert picture.shape[0] > 500
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_the_board_is_drawn_in_the_picture_where_the_camera_sees_it():
    calibration = placed()
    figure = draw(calibration)
    lines = [line.get_xydata() for line in figure.axes[1].lines]
    cam_from_world = np.linalg.inv(calibration.world_from_cam)
    for corner in ((0.0, -1.5, 0.0), (-6.0, 1.5, 0.0)):
        pixel = LENS.project((cam_from_world @ [*corner, 1.0])[:3])
        nearest = min(np.nanmin(np.linalg.norm(line - pixel, axis=1)) for line in lines if np.isfinite(line).any())
        assert nearest < 0.5


@pytest.mark.parametrize("gravity", [(0.6, 0.8, 0.0), (0.0, 0.0, 1.0), (0.1, 0.7, -0.7)])
def test_a_camera_that_is_not_placed_stands_as_gravity_says(gravity):
    down = np.array(gravity) / np.linalg.norm(gravity)
    pose = _levelled(Calibration(LENS, gravity_cam=down))
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(pose[:3, :3] @ down, (0, 0, -1), atol=1e-12)


def test_an_imported_camera_is_one(tmp_path, shared):
    said = io.StringIO()
    out = tmp_path / "demo.toml"
    import_camera(shared / "clips" / "sports2d_demo_calib.toml", out, "", "", Console(file=said, width=160))
    calibration = load(out)
    assert (calibration.name, calibration.camera.width) == ("demo", 1768)
    assert "sports2d_demo_calib.toml (Pose2Sim or Sports2D)" in calibration.source
    assert calibration.gravity_cam[1] > 0.999
    assert "note: the origin of the world is the file's" in said.getvalue()


@pytest.mark.parametrize(("text", "size"), [("", None), ("1920x1080", (1920, 1080)), (" 640X480 ", (640, 480))])
def test_sizes_are_read(text, size):
    assert size_px(text) == size


@pytest.mark.parametrize("text", ["1920", "x", "1920x", "wide", "1920x1080x3"])
def test_other_sizes_are_refused(text):
    with pytest.raises(CalibrationError, match="expected WIDTHxHEIGHT"):
        size_px(text)
