"""The camera file: one camera as it stands at a venue, in TOML that a person can read and edit.

`load` refuses what cannot be true and says why; `save` writes the whole file or none. docs/calibration.md describes it
key by key.
"""

import contextlib
import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.distortion import COEFFICIENTS, Model
from calibration.errors import CalibrationError, CameraError
from calibration.venue import Board, Calibration

__all__ = ["Board", "Calibration", "CalibrationError", "load", "save"]

Floats = NDArray[np.float64]

VERSION: Final = 1


class _Lens(msgspec.Struct, frozen=True, kw_only=True):
    width: int
    height: int
    focal_px: float
    centre_px: tuple[float, float]
    pixel_aspect: float = 1.0
    model: Model = "opencv"
    distortion: tuple[float, ...] = ()


class _Quality(msgspec.Struct, frozen=True, kw_only=True):
    reprojection_px: float | None = None
    focal_sd_px: float | None = None


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    world_from_cam: list[list[float]] | None = None
    gravity_cam: list[float] | None = None


class _Board(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["springboard", "platform"]
    height_m: float
    width_m: float
    length_m: float


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the file, table by table."""

    version: int
    camera: _Lens
    name: str = ""
    source: str = ""
    quality: _Quality = _Quality()
    place: _Place = _Place()
    board: _Board | None = None


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "": _File,
    "camera": _Lens,
    "quality": _Quality,
    "place": _Place,
    "board": _Board,
}


def load(path: Path) -> Calibration:
    """The camera of a file. Raises CalibrationError naming the file, the key, what is wrong and what is expected."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: not valid TOML ({error}); a camera file is made by calibrate") from error
    try:
        return _calibration(_checked(data))
    except CameraError as error:
        raise CalibrationError(f"{path}: camera: {error}") from error
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _checked(data: dict[str, Any]) -> _File:
    if "version" not in data:
        raise CalibrationError("version: missing, so this is no camera file; other formats: posecast calibrate import")
    if data["version"] != VERSION:
        raise CalibrationError(f"version: {data['version']!r} is not known; expected {VERSION}, or a newer posecast")
    _refuse_unknown("", data)
    for table, content in data.items():
        if isinstance(content, dict):
            _refuse_unknown(table, content)
    try:
        return msgspec.convert(data, _File)
    except msgspec.ValidationError as error:
        raise CalibrationError(str(error).replace("`$.", "`").replace("Object missing", "missing")) from error


def _refuse_unknown(table: str, data: Mapping[str, object]) -> None:
    valid = [field.name for field in msgspec.structs.fields(_TABLES[table])]
    for key in data:
        if key not in valid:
            close = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"valid are {', '.join(valid)}"
            raise CalibrationError(f"unknown key {f'{table}.{key}'.lstrip('.')!r}; {hint}")


def _calibration(file: _File) -> Calibration:
    lens, place, board = file.camera, file.place, file.board
    camera = Camera(
        lens.width, lens.height, lens.focal_px, lens.centre_px, lens.distortion, lens.pixel_aspect, lens.model
    )
    return Calibration(
        camera=camera,
        world_from_cam=None if place.world_from_cam is None else _matrix(place.world_from_cam),
        gravity_cam=None if place.gravity_cam is None else np.array(place.gravity_cam),
        board=None if board is None else Board(board.kind, board.height_m, board.width_m, board.length_m),
        reprojection_px=file.quality.reprojection_px,
        focal_sd_px=file.quality.focal_sd_px,
        source=file.source,
        name=file.name,
    )


def _matrix(rows: list[list[float]]) -> Floats:
    if any(len(row) != len(rows[0]) for row in rows):
        raise CalibrationError("place.world_from_cam: expected 4 rows of 4 numbers; its rows differ in length")
    return np.array(rows, dtype=np.float64)


def save(path: Path, calibration: Calibration) -> None:
    """Write a camera file that `load` reads back, whole or not at all. Raises CalibrationError if that is refused."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(as_toml(calibration))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise CalibrationError(f"{path}: cannot be written ({reason}); choose another --out") from error


def as_toml(calibration: Calibration) -> str:
    """The text of the file, with units beside the numbers."""
    return "\n".join(_lines(calibration)) + "\n"


def _lines(calibration: Calibration) -> Iterator[str]:
    yield "# A camera of posecast. Metres and pixels; the centre of the top-left pixel is at (0, 0), u right, v down."
    yield f"version = {VERSION}"
    yield f"name = {_text(calibration.name)}"
    yield f"source = {_text(calibration.source)}  # how it was made"
    yield from _lens(calibration.camera)
    if calibration.reprojection_px is not None or calibration.focal_sd_px is not None:
        yield from ("", "[quality]")
    if calibration.reprojection_px is not None:
        yield f"reprojection_px = {calibration.reprojection_px:.4g}  # rms of seen against predicted"
    if calibration.focal_sd_px is not None:
        yield f"focal_sd_px = {calibration.focal_sd_px:.4g}  # standard deviation of focal_px"
    yield from _place(calibration)
    if calibration.board is not None:
        yield from _board(calibration.board)


def _lens(camera: Camera) -> Iterator[str]:
    yield from ("", "[camera]")
    yield f"width = {camera.width}  # pixels, of the picture as shown"
    yield f"height = {camera.height}"
    yield f"focal_px = {float(camera.focal_px)!r}  # along u"
    yield f"pixel_aspect = {float(camera.pixel_aspect)!r}  # focal length along v over that along u"
    yield f"centre_px = {_list(camera.centre_px)}  # optical axis, u and v"
    yield f'model = "{camera.model}"  # of the distortion: h36m, opencv or fisheye'
    yield f"distortion = {_list(camera.distortion)}  # {', '.join(COEFFICIENTS[camera.model])}"


def _place(calibration: Calibration) -> Iterator[str]:
    if calibration.world_from_cam is not None:
        yield from ("", "[place]  # world: origin at the middle of the board's front edge, x over the water, z up")
        rows = ",\n".join(f"    {_list(row)}" for row in calibration.world_from_cam)
        yield f"world_from_cam = [  # metres; camera axes x right, y down, z forward\n{rows},\n]"
    elif calibration.gravity_cam is not None:
        yield from ("", "[place]")
        yield f"gravity_cam = {_list(calibration.gravity_cam)}  # direction of the fall, unit vector in camera axes"


def _board(board: Board) -> Iterator[str]:
    yield from ("", "[board]")
    yield f'kind = "{board.kind}"  # springboard or platform'
    yield f"height_m = {float(board.height_m)!r}  # above the water"
    yield f"width_m = {float(board.width_m)!r}"
    yield f"length_m = {float(board.length_m)!r}"


def _list(values: Any) -> str:
    return f"[{', '.join(repr(float(value)) for value in values)}]"


def _text(value: str) -> str:
    """A TOML string; JSON escapes what TOML does, except DEL."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
