"""The drawing of a camera file: camera, board and water from aside, and what the camera sees of them."""

import math
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.store import Board, Calibration
from pipeline.edges.output import make_folder, whole_file

Floats = NDArray[np.float64]

_AXES_HEX: Final = {"x": "#d62728", "y": "#2ca02c", "z": "#1f77b4"}
_WATER_HEX: Final = "#9fd3e8"
_BOARD_HEX: Final = "#c9b08a"
_CAMERA_HEX: Final = "#444444"
_VIEW_HEX: Final = "#f2a93b"
_ASIDE_RAD: Final = math.radians(50)
_ABOVE_RAD: Final = math.radians(18)
_THICK_M: Final = {"springboard": 0.05, "platform": 0.2}
_BORDER_STEPS: Final = 32
_ALONE_M: Final = 5.0
"""How far the view of a camera that is not placed is drawn."""


def write_scene(calibration: Calibration, path: Path) -> None:
    """Write the figure as PNG, whole or not at all. Raises OutputError."""
    figure = draw(calibration)
    make_folder(path.parent)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def draw(calibration: Calibration) -> Figure:
    """The figure."""
    figure = Figure(figsize=(13.0, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.15, 1))
    scene = _Scene(figure.add_subplot(grid[0]), calibration)
    scene.draw()
    _picture(figure.add_subplot(grid[1]), scene, calibration)
    figure.suptitle(f"{calibration.name or 'camera'}: {calibration.source}", fontsize=10, x=0.01, ha="left")
    return figure


class _Scene:
    """The world seen from aside, in parallel projection: lines that are parallel stay so, lengths can be compared."""

    def __init__(self, axes: Axes, calibration: Calibration) -> None:
        self.axes, self.calibration = axes, calibration
        self.placed = calibration.world_from_cam is not None
        self.world_from_cam = _levelled(calibration)
        self.board = calibration.board if self.placed else None
        self.water_z_m = None if self.board is None else self.board.water_z_m
        self.centre_m: Floats = self.world_from_cam[:3, 3]
        self.reach_m = max(2.0, float(np.linalg.norm(self.centre_m))) if self.placed else _ALONE_M
        aside = math.atan2(self.centre_m[1], self.centre_m[0]) + _ASIDE_RAD if self.placed else -_ASIDE_RAD
        sin, cos, high, flat = math.sin(aside), math.cos(aside), math.sin(_ABOVE_RAD), math.cos(_ABOVE_RAD)
        self._page_from_world = np.array([[-sin, cos, 0.0], [-cos * high, -sin * high, flat]])

    def draw(self) -> None:
        """Everything, what is behind first."""
        low, high = self.floor()
        if self.water_z_m is not None:
            self._water(low, high, self.water_z_m)
        if self.board is not None:
            self._board(self.board)
        self._view()
        size = 0.16 * self.reach_m
        if self.placed:
            self._frame(np.eye(4), size, "world")
        self._frame(self.world_from_cam, size, "camera")
        if self.calibration.gravity_cam is not None:
            self._arrow(self.centre_m, np.array([0.0, 0.0, -1.6 * size]), "#000000", "gravity")
        self.axes.set_aspect("equal")
        self.axes.margins(0.06)
        self.axes.axis("off")
        self.axes.set_title(self._title(), fontsize=9.5, loc="left")

    def _title(self) -> str:
        if not self.placed:
            known = "gravity is known" if self.calibration.gravity_cam is not None else "drawn level"
            return f"where the camera stands is not known; {known}"
        x, y, z = self.centre_m
        above = "" if self.water_z_m is None else f", {z - self.water_z_m:.2f} m above the water"
        return f"camera at x {x:.2f}, y {y:.2f}, z {z:.2f} m{above}"

    def floor(self) -> tuple[Floats, Floats]:
        """Corners of what is drawn of the water, x and y, metres."""
        length = 0.0 if self.board is None else self.board.length_m
        points = np.array([self.centre_m[:2], (0.0, 0.0), (0.0, 2.0), (5.0, -2.0), (-length, 0.0)])
        return np.floor(points.min(axis=0)) - 1, np.ceil(points.max(axis=0)) + 1

    def _page(self, points_m: Floats) -> Floats:
        return np.asarray(points_m @ self._page_from_world.T)

    def _line(self, points_m: Floats, colour: str, width: float = 1.0, style: str = "-") -> None:
        self.axes.plot(*self._page(points_m).T, color=colour, linewidth=width, linestyle=style, solid_capstyle="round")

    def _area(self, points_m: Floats, colour: str, opacity: float, edge: str = "none") -> None:
        self.axes.fill(*self._page(points_m).T, facecolor=colour, alpha=opacity, edgecolor=edge, linewidth=0.8)

    def _water(self, low: Floats, high: Floats, z: float) -> None:
        corners = [(low[0], low[1], z), (high[0], low[1], z), (high[0], high[1], z), (low[0], high[1], z)]
        self._area(np.array(corners), _WATER_HEX, 0.35)
        for x in np.arange(low[0], high[0] + 1):
            self._line(np.array([(x, low[1], z), (x, high[1], z)]), _WATER_HEX, 0.6)
        for y in np.arange(low[1], high[1] + 1):
            self._line(np.array([(low[0], y, z), (high[0], y, z)]), _WATER_HEX, 0.6)
        lowest = min(self._page(np.array(corners)).tolist(), key=lambda place: place[1])
        label = f"water, z {z:g} m, lines 1 m apart"
        self.axes.annotate(label, lowest, (0, -9), textcoords="offset points", fontsize=7, color="#3a7f9c", ha="center")

    def _board(self, board: Board) -> None:
        top = outline(board)
        below = top - (0.0, 0.0, _THICK_M[board.kind])
        self._area(below, "#8a744f", 1.0, "#6b5a3c")
        for first, second in ((0, 1), (1, 2), (2, 3), (3, 0)):
            self._area(np.array([top[first], top[second], below[second], below[first]]), "#a89067", 1.0, "#6b5a3c")
        self._area(top, _BOARD_HEX, 1.0, "#6b5a3c")
        self._line(np.array([(0.0, 0.0, 0.0), (0.0, 0.0, board.water_z_m)]), "#6b5a3c", 0.8, ":")

    def _view(self) -> None:
        """What the camera sees, as far as the world's origin; its edges bent as the lens bends them."""
        camera = self.calibration.camera
        border = np.stack(_border(camera.width, camera.height), axis=-1)
        edge = self._seen_at(border)
        self._line(edge, _VIEW_HEX, 0.8)
        if camera.model != "fisheye":
            self._area(edge, _VIEW_HEX, 0.12)
        for corner in edge[:: _BORDER_STEPS // (1 if camera.model != "fisheye" else 8)]:
            self._line(np.array([self.centre_m, corner]), _VIEW_HEX, 0.8)

    def _seen_at(self, pixels: Floats) -> Floats:
        """Where rays of pixels (N, 2) end in the world; a fisheye's on a sphere, all others on a plane."""
        rays = self.calibration.camera.unproject(pixels)
        forward = -(self.world_from_cam[:3, :3].T @ self.centre_m)[2] if self.placed else _ALONE_M
        depth = max(float(forward), 0.3 * self.reach_m)
        if self.calibration.camera.model == "fisheye":
            rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return np.asarray(rays * depth @ self.world_from_cam[:3, :3].T + self.centre_m)

    def _frame(self, world_from_frame: Floats, size_m: float, name: str) -> None:
        origin = world_from_frame[:3, 3]
        for column, (axis, colour) in enumerate(_AXES_HEX.items()):
            self._arrow(origin, world_from_frame[:3, column] * size_m, colour, axis)
        place = self._page(origin[None])[0]
        self.axes.plot(*place, marker="o", color=_CAMERA_HEX, markersize=4)
        self.axes.annotate(name, place, (6, -10), textcoords="offset points", fontsize=8.5, weight="bold")

    def _arrow(self, origin: Floats, along: Floats, colour: str, name: str) -> None:
        start, end = self._page(np.array([origin, origin + along]))
        self.axes.plot(*end, alpha=0.0)  # an arrow alone would not make room for itself
        self.axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6})
        self.axes.annotate(name, end, (2, 2), textcoords="offset points", fontsize=7.5, color=colour)


def outline(board: Board) -> Floats:
    """Corners (4, 3) of the board's upper side in the world, metres."""
    half = board.width_m / 2
    return np.array([(0, -half, 0), (0, half, 0), (-board.length_m, half, 0), (-board.length_m, -half, 0)], float)


def _levelled(calibration: Calibration) -> Floats:
    """`world_from_cam`, or for a camera that is not placed one at the origin that stands as gravity says."""
    if calibration.world_from_cam is not None:
        return np.asarray(calibration.world_from_cam)
    down = np.array([0.0, 1.0, 0.0]) if calibration.gravity_cam is None else calibration.gravity_cam
    forward = np.array([0.0, 0.0, 1.0]) - down[2] * down
    if np.linalg.norm(forward) < 1e-6:  # straight down or up: the top of the picture is ahead
        forward = np.array([0.0, -1.0, 0.0])
    forward = forward / np.linalg.norm(forward)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([forward, -np.cross(down, forward), -down])
    return pose


def _border(width: int, height: int, steps: int = _BORDER_STEPS) -> tuple[Floats, Floats]:
    """u and v of points around the border of the picture, pixels, closed."""
    along = np.linspace(0, 1, steps, endpoint=False)
    right, bottom = width - 0.5, height - 0.5
    u = np.concatenate(
        [along * width - 0.5, np.full(steps, right), right - along * width, np.full(steps, -0.5), [-0.5]]
    )
    v = np.concatenate(
        [np.full(steps, -0.5), along * height - 0.5, np.full(steps, bottom), bottom - along * height, [-0.5]]
    )
    return u, v


def _picture(axes: Axes, scene: _Scene, calibration: Calibration) -> None:
    """What the camera sees: the board, the water, the axes; without a place, how the lens bends straight lines."""
    camera = calibration.camera
    axes.set_xlim(-0.5, camera.width - 0.5)
    axes.set_ylim(camera.height - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
    _grid(axes, calibration)
    axes.plot(*camera.centre_px, marker="+", color=_CAMERA_HEX, markersize=10)
    axes.set_title("the picture: grey lines are straight in the world; + optical axis", fontsize=9.5, loc="left")
    if not scene.placed:
        return
    if scene.water_z_m is not None:
        low, high = scene.floor()
        for x in np.arange(low[0], high[0] + 1):
            _seen(axes, scene, np.array([(x, low[1], scene.water_z_m), (x, high[1], scene.water_z_m)]), _WATER_HEX, 0.8)
        for y in np.arange(low[1], high[1] + 1):
            _seen(axes, scene, np.array([(low[0], y, scene.water_z_m), (high[0], y, scene.water_z_m)]), _WATER_HEX, 0.8)
    if scene.board is not None:
        top = outline(scene.board)
        for first, second in ((0, 1), (1, 2), (2, 3), (3, 0)):
            _seen(axes, scene, top[[first, second]], "#8a744f", 2.0)
    for direction, colour in zip(np.eye(3), _AXES_HEX.values(), strict=True):
        _seen(axes, scene, np.array([np.zeros(3), direction]), colour, 2.0)


def _seen(axes: Axes, scene: _Scene, ends_m: Floats, colour: str, width: float) -> None:
    """A line of the world (2, 3) in the picture."""
    points = np.linspace(ends_m[0], ends_m[1], 200)
    cam = (points - scene.centre_m) @ scene.world_from_cam[:3, :3]
    axes.plot(*scene.calibration.camera.project(cam).T, color=colour, linewidth=width)


def _grid(axes: Axes, calibration: Calibration) -> None:
    camera = calibration.camera
    u, v = _border(camera.width, camera.height)
    flat = camera.normalised(np.stack([u, v], axis=-1))
    flat = flat[np.isfinite(flat).all(axis=-1)]
    if not len(flat):
        return
    # A fisheye sees almost to infinity on this plane: three times the focal length is 72 degrees.
    low, high = np.clip(flat.min(axis=0), -3, 3), np.clip(flat.max(axis=0), -3, 3)
    along = np.linspace(0, 1, 100)
    for part in np.linspace(0, 1, 11):
        for fixed in (0, 1):
            line = np.ones((len(along), 3))
            line[:, fixed] = low[fixed] + part * (high[fixed] - low[fixed])
            line[:, 1 - fixed] = low[1 - fixed] + along * (high[1 - fixed] - low[1 - fixed])
            axes.plot(*camera.project(line).T, color="#d0d0d0", linewidth=0.7)
