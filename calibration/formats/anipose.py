"""TOML with a table for each camera: Anipose's format, and what Pose2Sim, Sports2D and FreeMoCap made of it.

`size` width, height; `matrix` K; `distortions` k1, k2, p1, p2 and k3, or those of cv::fisheye; `rotation` a rotation
vector and `translation` with X_cam = R X_world + t. They differ in the world: Pose2Sim and Sports2D, which always write
`fisheye`, have metres and z up. FreeMoCap has millimetres, and z up only after a calibration with the board on the
ground. Anipose itself has the unit of its board and the axes of a camera.
"""

from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np

from calibration.errors import CalibrationError
from calibration.formats.foreign import Foreign, camera_of, world_from_cam_of

_KEYS: Final = ("size", "matrix", "distortions")
_FREEMOCAP: Final = frozenset({"groundplane_calibration", "charuco_square_size", "charuco_board_object"})
_MM: Final = 1e-3


def cameras(tables: Mapping[str, Any]) -> list[Foreign]:
    """The cameras of a file. Raises CalibrationError."""
    found = {key: table for key, table in tables.items() if isinstance(table, dict) and "matrix" in table}
    if not found:
        raise CalibrationError("no table in it has a camera's size, matrix and distortions")
    metadata = tables.get("metadata", {})
    program = _program(found, metadata)
    grounded = program == "FreeMoCap" and bool(metadata.get("groundplane_calibration"))
    return [_camera(key, table, program, grounded) for key, table in found.items()]


def _program(found: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    if _FREEMOCAP & set(metadata) or any("world_position" in table for table in found.values()):
        return "FreeMoCap"
    return "Pose2Sim or Sports2D" if all("fisheye" in table for table in found.values()) else "Anipose"


def _camera(key: str, table: Mapping[str, Any], program: str, grounded: bool) -> Foreign:
    missing = [name for name in _KEYS if name not in table]
    if missing:
        raise CalibrationError(f"{key}: {missing[0]} is missing")
    try:
        width, height = (round(float(side)) for side in table["size"])
        model: Any = "fisheye" if table.get("fisheye") else "opencv"
        camera = camera_of((width, height), table["matrix"], table["distortions"], model)
        pose = _pose(table, _MM if program == "FreeMoCap" else 1.0)
    except CalibrationError as error:
        raise CalibrationError(f"{key}: {error}") from error
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{key}: not the numbers of a camera ({error})") from error
    name = str(table.get("name") or key)
    if pose is None or program == "Anipose" or (program == "FreeMoCap" and not grounded):
        return Foreign(name, program, camera, None, (_NO_WORLD[program],))
    return Foreign(name, program, camera, pose, (_ELSEWHERE,))


_NO_WORLD: Final = {
    "Anipose": "its place is not taken: unit and vertical of the file are not known; posecast calibrate extrinsics",
    "FreeMoCap": "its place is not taken: calibrated without the board on the ground, the world is that of camera 0; "
    "posecast calibrate extrinsics",
    "Pose2Sim or Sports2D": "the file has no place; posecast calibrate extrinsics",
}
_ELSEWHERE: Final = "the origin of the world is the file's, not the edge of a board; z is up"


def _pose(table: Mapping[str, Any], metres: float) -> Any:
    if "rotation" not in table or "translation" not in table:
        return None
    turn = np.asarray(table["rotation"], dtype=np.float64)
    shift = np.asarray(table["translation"], dtype=np.float64)
    if turn.shape != (3,) or shift.shape != (3,):
        raise CalibrationError("expected a rotation vector and a translation of 3 numbers")
    return world_from_cam_of(np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64), shift * metres)
