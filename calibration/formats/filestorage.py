"""OpenCV: what cv::FileStorage writes (YAML, XML), under the names of its calibration sample, and ROS's camera_info.

Only intrinsics are taken: such a file has no agreed place for a world.
"""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from calibration.distortion import Model
from calibration.errors import CalibrationError
from calibration.formats.foreign import Foreign, camera_of

_MATRIX: Final = ("camera_matrix", "Camera_Matrix", "cameraMatrix", "K", "M")
_DISTORTION: Final = ("distortion_coefficients", "Distortion_Coefficients", "distCoeffs", "dist_coeffs", "D")
_WIDTH: Final = ("image_width", "image_Width", "imageWidth", "width")
_HEIGHT: Final = ("image_height", "image_Height", "imageHeight", "height")
_FISHEYE: Final = frozenset({"fisheye", "equidistant"})
_NOTE: Final = "intrinsics alone; posecast calibrate extrinsics places the camera"


def cameras(path: Path, size_px: tuple[int, int] | None) -> list[Foreign]:
    """The one camera of a file. Raises CalibrationError."""
    storage = _opened(path)
    try:
        matrix, distortion = _first(storage, _MATRIX), _first(storage, _DISTORTION)
        if matrix is None:
            raise CalibrationError(f"no camera matrix in it; expected one of {', '.join(_MATRIX)}")
        size = _size(storage) or size_px
        if size is None:
            raise CalibrationError("it does not say how large the picture is; type --size WIDTHxHEIGHT")
        numbers = [] if distortion is None else _numbers(distortion)
        k = np.reshape(_numbers(matrix), (3, 3))
        camera = camera_of(size, k, numbers, _model(storage))
    except (cv2.error, ValueError) as error:
        if isinstance(error, CalibrationError):
            raise
        raise CalibrationError(f"not the numbers of a camera ({' '.join(str(error).split())})") from error
    finally:
        storage.release()
    return [Foreign(path.name.split(".")[0], "OpenCV", camera, None, (_NOTE,))]


def _opened(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig")
    if not text.lstrip().startswith(("%YAML", "<", "{")):
        text = f"%YAML:1.0\n---\n{text}"  # ROS leaves the first line out, which OpenCV before version 5 insists on
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        opened = storage.isOpened() and not storage.root().empty()
    except (cv2.error, SystemError) as error:
        raise CalibrationError("neither TOML nor what OpenCV writes; expected a calibration") from error
    if not opened:
        raise CalibrationError("neither TOML nor what OpenCV writes; expected a calibration")
    return storage


def _first(storage: Any, names: tuple[str, ...]) -> Any:
    nodes = (storage.getNode(name) for name in names)
    return next((node for node in nodes if not node.empty()), None)


def _numbers(node: Any) -> list[float]:
    """Those of a matrix of OpenCV, or of a map with `data` as ROS has it, or of a list."""
    if node.isMap() and not node.getNode("dt").empty():
        return [float(number) for number in np.ravel(node.mat())]
    data = node.getNode("data") if node.isMap() else node
    return [float(data.at(index).real()) for index in range(data.size())]


def _size(storage: Any) -> tuple[int, int] | None:
    width, height = _first(storage, _WIDTH), _first(storage, _HEIGHT)
    if width is None or height is None:
        return None
    return int(width.real()), int(height.real())


def _model(storage: Any) -> Model:
    flag, model = storage.getNode("fisheye_model"), storage.getNode("distortion_model")
    named = not model.empty() and model.isString() and model.string() in _FISHEYE
    return "fisheye" if named or (not flag.empty() and flag.real() != 0) else "opencv"
