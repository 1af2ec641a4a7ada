"""Camera files: what is written is read back, and what cannot be true is refused with the reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.camera import Camera
from calibration.rotation import virtual_from_cam
from calibration.store import Board, Calibration, CalibrationError, as_toml, load, save

LENS = Camera(1920, 1080, 1450.25, (959.1, 541.7), (-0.1, 0.02, 1e-3, -2e-5, 0.0), 1.0003, "opencv")
AXES = np.array([[0.0, 0, 1, -1.5], [-1, 0, 0, 12.25], [0, -1, 0, 3], [0, 0, 0, 1]])
PLATFORM = Board("platform", 10.0, 3.0, 6.0)


def placed(**changes) -> Calibration:
    known = {"camera": LENS, "world_from_cam": AXES, "board": PLATFORM, "name": "left", "source": 'points of "10 m"'}
    return Calibration(**(known | {"reprojection_px": 0.21, "focal_sd_px": 1.5} | changes))


def test_everything_comes_back(tmp_path):
    path = tmp_path / "deep" / "camera.toml"
    before = placed()
    save(path, before)
    after = load(path)
    assert after.camera == before.camera
    assert after.board == before.board
    assert (after.name, after.source, after.reprojection_px, after.focal_sd_px) == (
        "left",
        'points of "10 m"',
        0.21,
        1.5,
    )
    np.testing.assert_array_equal(after.world_from_cam, AXES)
    assert [file.name for file in path.parent.iterdir()] == ["camera.toml"]


@settings(deadline=None)  # it waits for the disk
@given(st.tuples(*[st.floats(-1, 1)] * 2), st.floats(400, 20000), st.text(max_size=40))
def test_rotations_focal_lengths_and_names_come_back_exactly(tmp_path_factory, lean, focal, name):
    path = tmp_path_factory.mktemp("any") / "camera.toml"
    pose = np.eye(4)
    pose[:3, :3] = virtual_from_cam((*lean, 1.0)) @ AXES[:3, :3]
    save(path, Calibration(Camera(1920, 1080, focal, (900.0, 500.0)), pose, name=name))
    after = load(path)
    np.testing.assert_array_equal(after.world_from_cam, pose)
    assert (after.camera.focal_px, after.name) == (focal, name)


def test_gravity_follows_from_the_place():
    np.testing.assert_allclose(placed().gravity_cam, (0, 1, 0), atol=1e-12)
    tilted = np.eye(4)
    tilted[:3, :3] = AXES[:3, :3] @ virtual_from_cam((0.0, 0.5, 1.0))
    calibration = placed(world_from_cam=tilted)
    np.testing.assert_allclose(tilted[:3, :3] @ calibration.gravity_cam, (0, 0, -1), atol=1e-12)


def test_gravity_alone_is_kept(tmp_path):
    path = tmp_path / "camera.toml"
    down = np.array([0.1, 0.97, 0.2]) / np.linalg.norm([0.1, 0.97, 0.2])
    save(path, Calibration(LENS, gravity_cam=down))
    after = load(path)
    np.testing.assert_allclose(after.gravity_cam, down, rtol=1e-15)
    assert after.world_from_cam is None


def test_water_lies_below_the_board():
    assert PLATFORM.water_z_m == -10.0


def test_arrays_cannot_be_changed_by_who_reads_them():
    with pytest.raises(ValueError, match="read-only"):
        placed().world_from_cam[0, 3] = 5.0


def test_a_person_may_leave_out_what_is_not_known(tmp_path):
    path = tmp_path / "camera.toml"
    path.write_text(
        "version = 1\n[camera]\nwidth = 1280\nheight = 720\nfocal_px = 900\ncentre_px = [640, 360]\n", encoding="utf-8"
    )
    calibration = load(path)
    assert calibration.camera == Camera(1280, 720, 900.0, (640.0, 360.0), model="opencv")
    assert (calibration.board, calibration.gravity_cam, calibration.focal_sd_px) == (None, None, None)


def test_units_stand_beside_the_numbers():
    text = as_toml(placed())
    for words in ("k1, k2, p1, p2, k3", "above the water", "x right, y down, z forward", "rms"):
        assert words in text


WRONG = {
    "focal length": ("focal_px = 1450.25", "focal_px = 5.0", "camera.focal_px: 5 pixels is no lens", "384 to"),
    "centre": ("[959.1, 541.7]", "[9590.1, 541.7]", "camera.centre_px: u = 9590.1 lies far outside", "959.5"),
    "aspect": ("pixel_aspect = 1.0003", "pixel_aspect = 3.0", "camera.pixel_aspect", "mostly 1"),
    "fold": ("[-0.1, 0.02,", "[-1.5, 0.02,", "camera: distortion", "folds"),
    "skewed rotation": ("[0.0, 0.0, 1.0, -1.5]", "[0.0, 0.1, 1.0, -1.5]", "not orthonormal", "right angles"),
    "mirror": ("[0.0, 0.0, 1.0, -1.5]", "[0.0, 0.0, -1.0, -1.5]", "mirrors the world", "determinant"),
    "ragged": ("[0.0, 0.0, 1.0, -1.5]", "[0.0, 0.0, 1.0]", "place.world_from_cam", "4 rows of 4"),
    "last row": ("[0.0, 0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 2.0]", "place.world_from_cam", "0, 0, 0, 1"),
    "version": ("version = 1", "version = 7", "version: 7 is not known", "expected 1"),
    "no version": ("version = 1\n", "", "version: missing", "calibrate import"),
    "unknown key": ("focal_px =", "focal_length_px =", "unknown key 'camera.focal_length_px'", "focal_px"),
    "unknown table": ("[quality]", "[qualty]", "unknown key 'qualty'", "quality"),
    "text for a number": ("height = 1080", 'height = "1080"', "camera.height", "int"),
    "model": ('model = "opencv"', 'model = "pinhole"', "camera.model", "pinhole"),
    "springs": ('kind = "platform"', 'kind = "trampoline"', "board.kind", "trampoline"),
    "height": ("height_m = 10.0", "height_m = 100.0", "board.height_m: expected 0 to 30 metres", "100"),
    "negative error": ("reprojection_px = 0.21", "reprojection_px = -1.0", "quality.reprojection_px", "0 or more"),
    "no TOML": ("version = 1", "version 1", "not valid TOML", "made by calibrate"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_true_is_refused_in_one_line(tmp_path, name):
    old, new, what, expected = WRONG[name]
    text = as_toml(placed())
    assert old in text
    path = tmp_path / "camera.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CalibrationError) as error:
        load(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ")
    assert what in said
    assert expected in said
    assert "\n" not in said


@pytest.mark.parametrize("vector", [(0, 2, 0), (0, 0, 0), (0, 1), (np.nan, 1, 0)])
def test_gravity_is_a_unit_vector(vector):
    with pytest.raises(CalibrationError, match="unit vector"):
        Calibration(LENS, gravity_cam=np.array(vector))


def test_gravity_that_contradicts_the_place_is_refused():
    with pytest.raises(CalibrationError, match="contradicts world_from_cam"):
        placed(gravity_cam=np.array([0.0, 0.0, 1.0]))


def test_rounding_by_a_person_is_no_contradiction(tmp_path):
    path = tmp_path / "camera.toml"
    pose = np.eye(4)
    pose[:3, :3] = (virtual_from_cam((0.3, 0.2, 1.0)) @ AXES[:3, :3]).round(4)
    path.write_text(as_toml(placed(world_from_cam=pose)), encoding="utf-8")
    np.testing.assert_array_equal(load(path).world_from_cam, pose)


def test_a_missing_file_and_a_blocked_one_say_so(tmp_path):
    with pytest.raises(CalibrationError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CalibrationError, match=r"camera\.toml: cannot be written"):
        save(tmp_path / "file" / "camera.toml", placed())


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "camera.toml"
    save(path, placed(name="old"))
    (tmp_path / "camera.toml.part").mkdir()
    with pytest.raises(CalibrationError):
        save(path, placed(name="new"))
    assert load(path).name == "old"
