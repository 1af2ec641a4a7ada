"""`posecast calibrate show`: what is in a camera file, as text and as a drawing."""

from pathlib import Path

from rich.console import Console

from calibration.store import load


def show_camera(path: Path, out: Path | None, console: Console) -> None:
    """Print what the camera file says. Raises CalibrationError."""
    console.print(load(path).camera, soft_wrap=True)
