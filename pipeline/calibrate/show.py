"""`posecast calibrate show`: what is in a camera file, as text and as a drawing."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.camera import Camera
from calibration.distortion import COEFFICIENTS
from calibration.store import Board, Calibration, load


def show_camera(path: Path, out: Path | None, console: Console) -> None:
    """Print what the camera file says, and draw it to `out` if one is given. Raises CalibrationError, OutputError."""
    calibration = load(path)
    table = Table(box=None, pad_edge=False, show_header=False)
    for what, text in described(calibration):
        table.add_row(what, text)
    console.print(table)
    if out is not None:
        from pipeline.calibrate.scene_plot import write_scene

        write_scene(calibration, out)
        console.print(str(out), soft_wrap=True, highlight=False)


def described(calibration: Calibration) -> Iterator[tuple[str, str]]:
    """Rows of what is known about a camera, for people."""
    camera = calibration.camera
    across, down = fields_of_view_deg(camera)
    yield "camera", calibration.name or "without a name"
    yield "made by", calibration.source or "not said"
    yield "picture", f"{camera.width} x {camera.height}, {across:.1f} x {down:.1f} degrees"
    sd = "" if calibration.focal_sd_px is None else f" (sd {calibration.focal_sd_px:.1f})"
    yield "focal length", f"{camera.focal_px:.1f} px{sd}, pixel aspect {camera.pixel_aspect:.5f}"
    yield "optical axis", f"u {camera.centre_px[0]:.1f}, v {camera.centre_px[1]:.1f} px"
    yield "distortion", _distortion(camera)
    if calibration.reprojection_px is not None:
        yield "reprojection", f"{calibration.reprojection_px:.2f} px rms"
    yield from _placed(calibration)
    yield "board", "none" if calibration.board is None else _board(calibration.board)


def fields_of_view_deg(camera: Camera) -> tuple[float, float]:
    """Angles between the rays in the middle of opposite edges, across and down; NaN where a fisheye has no ray."""
    u, v = camera.centre_px
    ends = ((-0.5, v), (camera.width - 0.5, v)), ((u, -0.5), (u, camera.height - 0.5))
    angles = []
    for pair in ends:
        rays = camera.unproject(pair)
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        angles.append(math.degrees(math.acos(float(np.clip(rays[0] @ rays[1], -1, 1)))))
    return angles[0], angles[1]


def _distortion(camera: Camera) -> str:
    if camera.model != "fisheye" and not any(camera.distortion):
        return "none"
    pairs = zip(COEFFICIENTS[camera.model], camera.distortion, strict=True)
    return f"{camera.model}: {', '.join(f'{name} {value:.5f}' for name, value in pairs)}"


def _placed(calibration: Calibration) -> Iterator[tuple[str, str]]:
    if calibration.world_from_cam is not None:
        x, y, z = calibration.world_from_cam[:3, 3]
        pitch, roll = tilt_deg(calibration)
        yield "place", f"x {x:.2f}, y {y:.2f}, z {z:.2f} m from the world's origin"
        yield "view", f"{abs(pitch):.1f} degrees {'down' if pitch >= 0 else 'up'}, roll {roll:.1f} degrees"
    elif calibration.gravity_cam is not None:
        pitch, roll = tilt_deg(calibration)
        yield "place", "not known; posecast calibrate extrinsics"
        yield (
            "view",
            f"{abs(pitch):.1f} degrees {'down' if pitch >= 0 else 'up'}, roll {roll:.1f} degrees, from gravity",
        )
    else:
        yield "place", "not known: metres are estimated; posecast calibrate extrinsics, or gravity"


def tilt_deg(calibration: Calibration) -> tuple[float, float]:
    """How far the camera looks down, and how far it leans clockwise, from the direction of gravity; degrees."""
    assert calibration.gravity_cam is not None
    right, down, forward = calibration.gravity_cam
    return math.degrees(math.asin(float(np.clip(forward, -1, 1)))), math.degrees(math.atan2(-float(right), float(down)))


def _board(board: Board) -> str:
    return f"{board.kind}, {board.height_m:g} m above the water, {board.width_m:g} m wide, {board.length_m:g} m long"
