"""Other programs' calibrations: recognised by content, units and axes brought to this project's, doubts refused.

The samples are made here after the formats' descriptions; one real file of Sports2D is in the shared test data.
"""

import cv2
import numpy as np
import pytest

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.formats import pick, read

LENS = Camera(1920, 1080, 1500.0, (955.0, 545.0), (-0.12, 0.03, 0.001, -0.0005, 0.0), 1.002, "opencv")
POINT_M = np.array([0.4, -0.3, 1.2])
CENTRE_M = np.array([6.0, -8.0, 2.5])


def cam_from_world() -> np.ndarray:
    """A camera at CENTRE_M that looks at the world's origin, slightly rolled; the world's z is up."""
    forward = -CENTRE_M / np.linalg.norm(CENTRE_M)
    right = np.cross(forward, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    roll = cv2.Rodrigues(np.array([0, 0, 0.05]))[0]
    return roll @ np.stack([right, np.cross(forward, right), forward])


ROTATION = cam_from_world()
PIXEL = LENS.project(ROTATION @ (POINT_M - CENTRE_M))


def agrees(foreign) -> None:
    """The imported camera shows the world's point where the original did."""
    np.testing.assert_allclose(
        foreign.camera.project(inverse(foreign.world_from_cam) @ [*POINT_M, 1.0]), PIXEL, atol=1e-3
    )


def inverse(pose) -> np.ndarray:
    return np.linalg.inv(pose)[:3]


def table(name: str, metres: float, extra: str = "") -> str:
    turn = cv2.Rodrigues(ROTATION)[0].ravel().tolist()
    shift = (-ROTATION @ CENTRE_M / metres).tolist()
    matrix = LENS.intrinsics.tolist()
    return (
        f'[{name}]\nname = "{name}"\nsize = [1920.0, 1080.0]\nmatrix = {matrix}\n'
        f"distortions = {list(LENS.distortion)}\nrotation = {turn}\ntranslation = {shift}\n{extra}\n"
    )


def written(tmp_path, text: str, name: str = "calibration.any"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_pose2sim_is_in_metres_with_z_up(tmp_path):
    text = table("cam_01", 1.0, "fisheye = false") + "[metadata]\nadjusted = false\nerror = 0.0\n"
    (foreign,) = read(written(tmp_path, text))
    assert (foreign.name, foreign.program) == ("cam_01", "Pose2Sim or Sports2D")
    assert foreign.camera == LENS
    np.testing.assert_allclose(foreign.world_from_cam[:3, 3], CENTRE_M, atol=1e-9)
    agrees(foreign)


def test_freemocap_is_in_millimetres_and_upright_only_with_the_board_on_the_ground(tmp_path):
    grounded = "[metadata]\ngroundplane_calibration = true\ncharuco_square_size = 39\n"
    (foreign,) = read(written(tmp_path, table("cam_0", 1e-3) + grounded))
    assert foreign.program == "FreeMoCap"
    np.testing.assert_allclose(foreign.world_from_cam[:3, 3], CENTRE_M, atol=1e-6)
    agrees(foreign)
    (loose,) = read(written(tmp_path, table("cam_0", 1e-3) + grounded.replace("true", "false")))
    assert loose.world_from_cam is None
    assert "board on the ground" in loose.notes[0]
    assert loose.camera == LENS


def test_anipose_gives_intrinsics_alone(tmp_path):
    (foreign,) = read(written(tmp_path, table("cam_0", 1.0) + "[metadata]\nadjusted = false\nerror = 0.0\n"))
    assert (foreign.program, foreign.world_from_cam) == ("Anipose", None)
    assert "unit and vertical" in foreign.notes[0]


def test_a_fisheye_is_one(tmp_path):
    text = table("wide", 1.0, "fisheye = true").replace(str(list(LENS.distortion)), "[0.01, -0.002, 0.0, 0.0]")
    (foreign,) = read(written(tmp_path, text))
    assert (foreign.camera.model, foreign.camera.distortion) == ("fisheye", (0.01, -0.002, 0.0, 0.0))


def test_the_real_file_of_sports2d(shared):
    (foreign,) = read(shared / "clips" / "sports2d_demo_calib.toml")
    camera = foreign.camera
    assert (foreign.name, camera.width, camera.height) == ("demo", 1768, 994)
    assert camera.focal_px == pytest.approx(2520.09, abs=0.01)
    x, y, z = foreign.world_from_cam[:3, 3]
    assert (x, y, z) == pytest.approx((10.0, 3.508, 1.713), abs=1e-3)
    down_cam = -foreign.world_from_cam[2, :3]
    assert down_cam[1] > 0.999, "the camera stands upright: the fall is down the picture"
    floor = inverse(foreign.world_from_cam) @ [0.0, 2.0, 0.0, 1.0]
    assert camera.project(floor)[1] > camera.centre_px[1], "the floor is below the axis of a camera 1.7 m above it"


def qualisys(parts: int = 64, left: int = 0, top: int = 0, extra: str = "") -> str:
    width, height = 1920 + left, 1080 + top
    last = (width * parts - 1, height * parts - 1) if parts > 1 else (width, height)
    rows = np.diag([1.0, -1.0, -1.0]) @ ROTATION
    cells = " ".join(f'r{i + 1}{j + 1}="{rows[i, j]:.9f}"' for i in range(3) for j in range(3))
    k1, k2, p1, p2, k3 = LENS.distortion
    u, v = (LENS.centre_px[0] + left) * parts, (LENS.centre_px[1] + top) * parts
    focal_v = LENS.focal_px * LENS.pixel_aspect * parts
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<calibration calibrated="2025.05.01" source="wand" qtm-version="2023.1" type="regular">
  <cameras>
    <camera active="1" calibrated="true" avg-residual="0.4" serial="26580" model="Miqus Video" viewrotation="0">
      <fov_video left="{left}" top="{top}" right="{width - 1}" bottom="{height - 1}"/>
      <transform x="{CENTRE_M[0] * 1000}" y="{CENTRE_M[1] * 1000}" z="{CENTRE_M[2] * 1000}" {cells}/>
      <intrinsic focallength="9.2" sensorMinU="0.0" sensorMaxU="{last[0]}" sensorMinV="0.0" sensorMaxV="{last[1]}"
        focalLengthU="{LENS.focal_px * parts}" focalLengthV="{focal_v}" centerPointU="{u}" centerPointV="{v}" skew="0"
        radialDistortion1="{k1}" radialDistortion2="{k2}" radialDistortion3="{k3}"
        tangentalDistortion1="{p1}" tangentalDistortion2="{p2}"/>
    </camera>{extra}
  </cameras>
</calibration>"""


@pytest.mark.parametrize("parts", [64, 1], ids=["exported", "by protocol"])
@pytest.mark.parametrize(("left", "top"), [(0, 0), (64, 8)])
def test_qualisys_is_brought_to_pixels_metres_and_our_axes(tmp_path, parts, left, top):
    (foreign,) = read(written(tmp_path, qualisys(parts, left, top), "session.qca.txt"))
    camera = foreign.camera
    assert (foreign.name, foreign.program, camera.width, camera.height) == ("26580", "Qualisys", 1920, 1080)
    np.testing.assert_allclose(camera.centre_px, LENS.centre_px, atol=1e-9)
    assert camera.distortion == LENS.distortion, "distortion has no unit and is not divided by 64"
    np.testing.assert_allclose(foreign.world_from_cam[:3, 3], CENTRE_M, atol=1e-6)
    agrees(foreign)


def test_qualisys_within_the_parameters_of_the_protocol(tmp_path):
    inner = qualisys().split("?>", 1)[1]
    (foreign,) = read(written(tmp_path, f"<QTM_Parameters_Ver_1.25>{inner}</QTM_Parameters_Ver_1.25>"))
    agrees(foreign)


def test_a_turned_qualisys_camera_is_noted(tmp_path):
    (foreign,) = read(written(tmp_path, qualisys().replace('viewrotation="0"', 'viewrotation="90"')))
    assert any("viewrotation 90" in note for note in foreign.notes)


def opencv_file(path, names=("camera_matrix", "distortion_coefficients"), distortion=LENS.distortion, **numbers):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in numbers.items():
        storage.write(name, value)
    storage.write(names[0], LENS.intrinsics)
    storage.write(names[1], np.array(distortion))
    storage.release()
    return path


@pytest.mark.parametrize("suffix", ["yml", "xml", "json"])
@pytest.mark.parametrize(
    "names", [("camera_matrix", "distortion_coefficients"), ("K", "D"), ("cameraMatrix", "distCoeffs")]
)
def test_opencvs_own_files(tmp_path, suffix, names):
    path = opencv_file(tmp_path / f"left.{suffix}", names, image_width=1920, image_height=1080)
    (foreign,) = read(path)
    assert (foreign.name, foreign.program, foreign.world_from_cam) == ("left", "OpenCV", None)
    assert foreign.camera == LENS


def test_opencvs_fisheye_sample(tmp_path):
    numbers = {"image_width": 1920, "image_height": 1080, "fisheye_model": 1}
    path = opencv_file(tmp_path / "wide.yml", distortion=(0.01, 0.002, 0.0, 0.0), **numbers)
    assert read(path)[0].camera.model == "fisheye"


def test_opencv_without_a_size_asks_for_it(tmp_path):
    path = opencv_file(tmp_path / "left.yml")
    with pytest.raises(CalibrationError, match=r"left\.yml: .*--size WIDTHxHEIGHT"):
        read(path)
    assert read(path, (1920, 1080))[0].camera == LENS


def test_eight_coefficients_are_not_cut_off(tmp_path):
    path = opencv_file(
        tmp_path / "left.yml", distortion=(0.1, 0, 0, 0, 0, 0.2, 0.1, 0), image_width=1920, image_height=1080
    )
    with pytest.raises(CalibrationError, match="8 distortion coefficients; expected at most 5"):
        read(path)


def test_ros_camera_info(tmp_path):
    text = """image_width: 640
image_height: 480
camera_name: cam
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0, 320, 0, 501, 240, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, 0, 0.001, 0, 0]
"""
    (foreign,) = read(written(tmp_path, text, "camera.yaml"))
    assert foreign.camera == Camera(640, 480, 500.0, (320.0, 240.0), (0.1, 0, 0.001), 1.002, "opencv")


def test_of_several_cameras_one_is_named(tmp_path):
    path = written(tmp_path, table("left", 1.0, "fisheye = false") + table("right", 1.0, "fisheye = false"))
    cameras = read(path)
    assert pick(cameras, "right", path).name == "right"
    with pytest.raises(CalibrationError, match="2 cameras; choose by --name: left, right"):
        pick(cameras, "", path)
    with pytest.raises(CalibrationError, match="no camera 'middle'; choose by --name: left, right"):
        pick(cameras, "middle", path)


WRONG = {
    "not there": (None, "cannot be read"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a text file"),
    "prose": (b"dear diary", "neither TOML nor what OpenCV writes"),
    "empty": (b"", "no table in it has a camera"),
    "broken XML": (b"<calibration><cameras>", "not valid XML"),
    "other XML": (b"<html><body/></html>", "XML of 'html'"),
    "other TOML": (b"[tool]\nname = 'x'\n", "no table in it has a camera"),
    "our own": (b"version = 1\n[camera]\nwidth = 3\n", "is a camera file already"),
    "no size": (table("left", 1.0).replace("size =", "sizes =").encode(), "left: size is missing"),
    "words": (
        table("left", 1.0).replace("size = [1920.0, 1080.0]", 'size = ["a", "b"]').encode(),
        "left: not the numbers",
    ),
    "matrix": (table("left", 1.0).replace("[0.0, 0.0, 1.0]]", "]").encode(), "3 x 3; got 2 x 3"),
    "yaml without a camera": (b"%YAML:1.0\n---\nfoo: 3\n", "no camera matrix in it"),
    "a word for a number": (qualisys().replace('y="-8000.0"', 'y="far"').encode(), "transform.y: expected a number"),
    "no place": (qualisys().replace("<transform", "<transformed").encode(), "transform is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_calibration_is_refused_in_one_line(tmp_path, name):
    content, says = WRONG[name]
    path = tmp_path / "calibration.any"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CalibrationError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
