"""Camera files of other programs. `read` recognises them by what is in them; docs/calibration.md says what is taken.

All of them have OpenCV's camera axes and distortion, or are brought to them here. A place in the world is taken only
where the file says its unit and that z is up; where it does not, intrinsics alone are taken and a note says so.
"""

import tomllib
import xml.etree.ElementTree as Xml
from pathlib import Path

from calibration.errors import CalibrationError
from calibration.formats import anipose, filestorage, qualisys
from calibration.formats.foreign import Foreign

__all__ = ["Foreign", "pick", "read"]


def read(path: Path, size_px: tuple[int, int] | None = None) -> list[Foreign]:
    """The cameras of a file; `size_px` (width, height) of the picture for those that do not say it.

    Raises CalibrationError naming the file, what is wrong and what is expected.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(f"{path}: not a text file; expected YAML, XML or TOML") from error
    try:
        cameras = _cameras(text, path, size_px)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    if not cameras:
        raise CalibrationError(f"{path}: there is no camera in it")
    return cameras


def _cameras(text: str, path: Path, size_px: tuple[int, int] | None) -> list[Foreign]:
    if text.lstrip().startswith("<"):
        return _of_xml(text, path, size_px)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return filestorage.cameras(path, size_px)
    if "version" in tables and "camera" in tables:
        raise CalibrationError("is a camera file already; posecast calibrate show draws it")
    return anipose.cameras(tables)


def _of_xml(text: str, path: Path, size_px: tuple[int, int] | None) -> list[Foreign]:
    try:
        root = Xml.fromstring(text)
    except Xml.ParseError as error:
        raise CalibrationError(f"not valid XML ({error})") from error
    if root.tag == "opencv_storage":
        return filestorage.cameras(path, size_px)
    return qualisys.cameras(root)


def pick(cameras: list[Foreign], name: str, path: Path) -> Foreign:
    """The camera called `name`, or the only one. Raises CalibrationError with the names there are."""
    names = [camera.name for camera in cameras]
    chosen = [camera for camera in cameras if camera.name == name] if name else cameras
    if len(chosen) == 1:
        return chosen[0]
    trouble = f"no camera {name!r}" if name else f"{len(cameras)} cameras"
    raise CalibrationError(f"{path}: {trouble}; choose by --name: {', '.join(names)}")
