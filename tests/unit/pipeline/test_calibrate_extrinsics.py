"""`posecast calibrate extrinsics`: from a list of points to a camera file and its drawing, and the way to the list."""

import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.store import Calibration, load, save
from calibration.templates import template
from pipeline.calibrate.clicking import picture_at, with_grid
from pipeline.calibrate.extrinsics import Wanted, calibrate_extrinsics, list_template, prepare_clicking
from pipeline.calibrate.points import read_points
from tests.posecast import SAMPLE

BOARD = template("springboard-3")


def truth():
    told = json.loads(SAMPLE.with_name("dive.truth.json").read_text())
    matrix = np.array(told["camera_matrix_px"])
    camera = Camera(*told["size_px"], matrix[0, 0], (matrix[0, 2], matrix[1, 2]))
    return camera, np.array(told["world_from_cam"])


def listed(path, wrong="", columns=("name", "u", "v"), separator=","):
    """The template's points as they lie in the sample, to a tenth of a pixel."""
    camera, world_from_cam = truth()
    cam_from_world = np.linalg.inv(world_from_cam)
    rows = [separator.join(columns)]
    for mark in BOARD.marks:
        u, v = camera.project(cam_from_world[:3, :3] @ mark.world_m + cam_from_world[:3, 3])
        rows.append(separator.join([mark.name, f"{u + 40 * (mark.name == wrong):.1f}", f"{v:.1f}"]))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def wanted(tmp_path):
    save(tmp_path / "camera.toml", Calibration(truth()[0], name="side"))
    return Wanted(tmp_path / "camera.toml", listed(tmp_path / "points.csv"), tmp_path / "placed.toml", BOARD)


def test_the_sample_is_placed_and_the_board_drawn_over_it(wanted, tmp_path) -> None:
    console = Console(width=200, record=True)
    prepare_clicking(str(SAMPLE), 0.0, BOARD, wanted.points, None, console)
    assert "rear-left,92.5" in wanted.points.read_text(), "a list that is filled in stays as it is"
    calibrate_extrinsics(wanted, console)
    made = load(tmp_path / "placed.toml")
    np.testing.assert_allclose(made.world_from_cam[:3, 3], truth()[1][:3, 3], atol=0.1)
    assert made.board == BOARD.board and made.name == "side" and made.reprojection_px < 0.5
    before, after = cv2.imread(str(tmp_path / "points.png")), cv2.imread(str(tmp_path / "placed.png"))
    assert after.shape == before.shape
    u, v = 450, 445  # on the near edge of the board
    assert (np.abs(after[v - 4 : v + 5, u].astype(int) - (40, 190, 255)).max(axis=1) < 40).any()
    assert "7, 0." in console.export_text()


def test_a_wrong_click_is_said(wanted, tmp_path) -> None:
    listed(wanted.points, wrong="water-middle")
    console = Console(width=200, record=True)
    calibrate_extrinsics(wanted, console)
    assert "point water-middle is 40 px off: clicked wrongly? It was left out." in console.export_text()


def test_the_page_to_click_in_knows_picture_and_points(tmp_path) -> None:
    points = tmp_path / "marks.csv"
    prepare_clicking(str(SAMPLE), 0.5, BOARD, points, None, Console(quiet=True))
    page = (tmp_path / "marks.html").read_text()
    given = json.loads(page.split("const given = ")[1].split(";\n")[0])
    assert given["picture"] == "marks.png" and given["points"] == "marks.csv"
    assert [mark["name"] for mark in given["marks"]] == [mark.name for mark in BOARD.marks]
    assert points.read_text().splitlines()[0] == "name,u,v,x,y,z"
    with pytest.raises(CalibrationError, match="0 points are not enough"):
        camera = tmp_path / "camera.toml"
        save(camera, Calibration(truth()[0]))
        calibrate_extrinsics(Wanted(camera, points, tmp_path / "out.toml", BOARD), Console(quiet=True))
    assert not (tmp_path / "out.toml").exists()


def test_the_grid_stands_at_the_pixels_it_names() -> None:
    picture = np.full((300, 400, 3), 90, np.uint8)
    changed = (with_grid(picture) != picture).any(axis=2)
    assert changed[150, ::50].all() and changed[::50, 230].all()
    assert not changed[175, 60:90].any()


def test_the_picture_is_that_of_the_second_asked_for() -> None:
    first, later = picture_at(str(SAMPLE), 0.0), picture_at(str(SAMPLE), 1.5)
    assert first.shape == (1080, 1920, 3) and np.abs(first.astype(int) - later).max() > 50


def test_lists_of_spreadsheets_are_read(tmp_path) -> None:
    path = listed(tmp_path / "points.csv", columns=(" name", "u ", "v"), separator=";")
    assert len(read_points(path, BOARD)) == len(BOARD.marks)


def test_points_of_ones_own_and_of_the_ground(tmp_path) -> None:
    path = tmp_path / "floor.csv"
    path.write_text("name,u,v,x,y,z\ncorner,10,20,1.5,2,\nunseen,,,3,3,\nmat,30.5,40,0,1,-2.5\n")
    found = read_points(path, None, level_m=-3.0)
    assert found.names == ("corner", "mat")
    np.testing.assert_array_equal(found.world_m, [(1.5, 2, -3), (0, 1, -2.5)])
    with pytest.raises(CalibrationError, match="line 2: z of 'corner' is nothing"):
        read_points(path, None)


def test_without_a_camera_file_the_focal_length_is_found(wanted, tmp_path) -> None:
    """From a platform: the thin springboard's points do not tell it."""
    camera, world_from_cam = truth()
    cam_from_world = np.linalg.inv(world_from_cam)
    row = template("platform-5")
    rows = ["name,u,v"]
    for mark in row.marks:
        u, v = camera.project(cam_from_world[:3, :3] @ mark.world_m + cam_from_world[:3, 3])
        rows.append(f"{mark.name},{u:.2f},{v:.2f}")
    (tmp_path / "platform.csv").write_text("\n".join(rows))
    asked = Wanted(None, tmp_path / "platform.csv", tmp_path / "made.toml", row, size="1920x1080")
    calibrate_extrinsics(asked, Console(quiet=True))
    made = load(tmp_path / "made.toml")
    assert made.camera.focal_px == pytest.approx(camera.focal_px, rel=0.01)
    assert made.focal_sd_px is not None


def test_templates_are_listed() -> None:
    console = Console(width=160, record=True)
    list_template(None, console)
    list_template(template("platform-10"), console)
    text = console.export_text()
    assert "platform-7.5" in text and "springboard-1" in text
    assert "pool-edge-right" in text and "-10.00" in text


def test_another_picture_than_the_cameras_is_refused(wanted, tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "points.png"), np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(CalibrationError, match="640x480, but the camera 1920x1080"):
        calibrate_extrinsics(wanted, Console(quiet=True))
    assert not (tmp_path / "placed.toml").exists(), "nothing half done is left behind"
