"""Qualisys: the calibration that QTM exports (.qca.txt, XML), also as its real-time protocol sends it.

Lengths on the sensor are in 1/64 pixel in the exported file and in pixels in the protocol; the extent of the sensor
tells which. `fov_video` is the part of the sensor that the video shows. Distortion is OpenCV's and without unit. The
camera's axes are x right, y up, z backward; `r11`..`r33` are the rows of cam_from_world, x, y, z its place in mm. Z of
the world is up, as QTM sets it up.
"""

import xml.etree.ElementTree as Xml
from typing import Final

import numpy as np

from calibration.errors import CalibrationError
from calibration.formats.foreign import Foreign, camera_of, world_from_cam_of

_SUBPIXELS: Final = 64
_MANY: Final = 16384
"""No sensor has so many pixels in a row; with 64 parts to each, the smallest has more."""
_MM: Final = 1e-3
_FLIPPED: Final = np.diag([1.0, -1.0, -1.0])
_AXES: Final = "the world is QTM's: z up, its origin where the L-frame lay"


def cameras(root: Xml.Element) -> list[Foreign]:
    """The cameras of a file that have been calibrated. Raises CalibrationError."""
    found = [camera for camera in root.iter("camera") if camera.find("intrinsic") is not None]
    if not found:
        raise CalibrationError(f"XML of {root.tag!r}; expected Qualisys cameras with intrinsic, or opencv_storage")
    return [_camera(camera) for camera in found]


def _camera(camera: Xml.Element) -> Foreign:
    name = camera.get("serial") or "camera"
    try:
        return _converted(camera, name)
    except CalibrationError as error:
        raise CalibrationError(f"camera {name}: {error}") from error


def _converted(camera: Xml.Element, name: str) -> Foreign:
    lens = _part(camera, "intrinsic")
    extent = _number(lens, "sensorMaxU") - _number(lens, "sensorMinU")
    parts = _SUBPIXELS if extent >= _MANY else 1
    left, top, size = _window(camera, lens, parts)
    matrix = np.array(
        [
            [_number(lens, "focalLengthU") / parts, 0.0, _number(lens, "centerPointU") / parts - left],
            [0.0, _number(lens, "focalLengthV") / parts, _number(lens, "centerPointV") / parts - top],
            [0.0, 0.0, 1.0],
        ]
    )
    names = (
        "radialDistortion1",
        "radialDistortion2",
        "tangentalDistortion1",
        "tangentalDistortion2",
        "radialDistortion3",
    )
    distortion = [_number(lens, key) for key in names]
    notes = [_AXES]
    if camera.get("viewrotation", "0") not in ("0", ""):
        notes.append(
            f"viewrotation {camera.get('viewrotation')} is not followed: this is the picture as the sensor has it"
        )
    return Foreign(name, "Qualisys", camera_of(size, matrix, distortion, "opencv"), _pose(camera), tuple(notes))


def _window(camera: Xml.Element, lens: Xml.Element, parts: int) -> tuple[float, float, tuple[int, int]]:
    """Left and top of the video on the sensor, and its width and height, pixels."""
    video = camera.find("fov_video")
    if video is not None:
        left, top, right, bottom = (_number(video, side) for side in ("left", "top", "right", "bottom"))
        return left, top, (round(right - left) + 1, round(bottom - top) + 1)
    whole = 1 if parts > 1 else 0  # the export counts 0..122879, the protocol 0..1920
    width = (_number(lens, "sensorMaxU") - _number(lens, "sensorMinU") + whole) / parts
    height = (_number(lens, "sensorMaxV") - _number(lens, "sensorMinV") + whole) / parts
    return 0.0, 0.0, (round(width), round(height))


def _pose(camera: Xml.Element) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    place = _part(camera, "transform")
    rows = np.array([[_number(place, f"r{row}{column}") for column in (1, 2, 3)] for row in (1, 2, 3)])
    centre = np.array([_number(place, axis) for axis in "xyz"]) * _MM
    rotation = _FLIPPED @ rows
    return world_from_cam_of(rotation, -rotation @ centre)


def _part(camera: Xml.Element, name: str) -> Xml.Element:
    part = camera.find(name)
    if part is None:
        raise CalibrationError(f"{name} is missing; calibrate in QTM, then export again")
    return part


def _number(element: Xml.Element, name: str) -> float:
    text = element.get(name)
    try:
        return float(text or "")
    except ValueError as error:
        raise CalibrationError(f"{element.tag}.{name}: expected a number; got {text!r}") from error
