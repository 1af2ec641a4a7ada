"""`posecast calibrate import`: another program's calibration as a camera file."""

import re
from pathlib import Path

from rich.console import Console

from calibration.errors import CalibrationError
from calibration.formats import pick, read
from calibration.store import Calibration, save


def import_camera(file: Path, out: Path, name: str, size: str, console: Console) -> Calibration:
    """Write the camera file and print what was taken and what not. Raises CalibrationError."""
    camera = pick(read(file, size_px(size)), name, file)
    source = f"calibrate import of {file.name} ({camera.program})"
    try:
        calibration = Calibration(camera.camera, camera.world_from_cam, source=source, name=camera.name)
    except CalibrationError as error:
        raise CalibrationError(f"{file}: camera {camera.name}: {error}") from error
    save(out, calibration)
    console.print(f"{out}: camera {camera.name} of {camera.program}", soft_wrap=True, highlight=False, markup=False)
    for note in camera.notes:
        console.print(f"note: {note}", style="dim", soft_wrap=True, highlight=False, markup=False)
    return calibration


def size_px(text: str) -> tuple[int, int] | None:
    """Width and height of "1920x1080"; None of an empty text. Raises CalibrationError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    if found is None:
        raise CalibrationError(f"--size {text}: expected WIDTHxHEIGHT, such as 1920x1080")
    return int(found[1]), int(found[2])
