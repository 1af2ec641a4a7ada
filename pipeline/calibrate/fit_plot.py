"""How good a calibration is, at a glance: coverage, residuals, errors of the views, and the distortion found."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.board import Pattern
from calibration.intrinsics import Fit
from pipeline.edges.output import whole_file

Floats = NDArray[np.float64]

_COVERED: Final = LinearSegmentedColormap.from_list("covered", ["#ffffff", "#9ecae1", "#12476e"])
_KEPT_HEX: Final = "#2b8cd8"
_ARROW_PART: Final = 0.03
_CELLS: Final = 16


def write_fit_plot(fit: Fit, pattern: Pattern, path: Path, name: str) -> None:
    """Write the figure as PNG, whole or not at all. Raises OutputError."""
    figure = draw(fit, pattern, name)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def draw(fit: Fit, pattern: Pattern, name: str) -> Figure:
    """The figure."""
    camera = fit.camera
    figure = Figure(figsize=(12.5, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2)
    _coverage(figure.add_subplot(grid[0, 0]), fit)
    _residuals(figure.add_subplot(grid[0, 1]), fit)
    _errors(figure.add_subplot(grid[1, 0]), fit)
    _distortion(figure, figure.add_subplot(grid[1, 1]), fit)
    part = fit.sd["focal_px"] / camera.focal_px
    figure.suptitle(
        f"{name}: focal length {camera.focal_px:.1f} px (sd {part:.2%}), reprojection {fit.reprojection_px:.2f} px, "
        f"{len(fit.views)} views of a {pattern}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    return figure


def _frame(axes: Axes, fit: Fit, title: str) -> None:
    axes.set_xlim(-0.5, fit.camera.width - 0.5)
    axes.set_ylim(fit.camera.height - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=9.5, loc="left")
    axes.tick_params(labelsize=7)


def _coverage(axes: Axes, fit: Fit) -> None:
    width, height = fit.camera.width, fit.camera.height
    corners = np.concatenate([view.corners_img_px for view in fit.views])
    cells = (_CELLS, max(1, round(_CELLS * height / width)))
    across, down = corners.T
    frame = ((-0.5, width - 0.5), (-0.5, height - 0.5))
    counts, u, v = np.histogram2d(across, down, bins=cells, range=frame)
    axes.pcolormesh(u, v, counts.T, cmap=_COVERED, vmin=0, rasterized=True)
    for view in fit.views:
        hull = cv2.convexHull(view.corners_img_px.astype(np.float32))[:, 0]
        axes.plot(*np.vstack([hull, hull[:1]]).T, color="#d95f02", linewidth=0.7, alpha=0.8)
    _frame(axes, fit, "where the board was: corners found, and the outline of each view")


def _residuals(axes: Axes, fit: Fit) -> None:
    corners = np.concatenate([view.corners_img_px for view in fit.views])
    residuals = np.concatenate(fit.residuals_px)
    scale = _ARROW_PART * fit.camera.width / max(float(np.percentile(np.hypot(*residuals.T), 95)), 1e-6)
    scale = float(f"{scale:.0e}")
    axes.quiver(
        *corners.T, *(residuals * scale).T, color=_KEPT_HEX, angles="xy", scale_units="xy", scale=1, width=0.0015
    )
    _frame(axes, fit, f"seen minus predicted, {scale:g} times as long; a pattern in it means a wrong model")


def _errors(axes: Axes, fit: Fit) -> None:
    order = np.argsort(fit.views_px)[::-1]
    labels = [Path(fit.views[index].label).name for index in order]
    places = np.arange(len(order))
    axes.barh(places, fit.views_px[order], color=_KEPT_HEX, height=0.7)
    axes.set_yticks(places, labels, fontsize=max(3.5, min(7.0, 150 / len(order))))
    axes.invert_yaxis()
    axes.axvline(fit.reprojection_px, color="#d95f02", linewidth=1.0)
    axes.set_xlabel("reprojection error, px rms", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    dropped = f"; {len(fit.dropped)} more were dropped" if fit.dropped else ""
    axes.set_title(f"error of each view, all of them in orange{dropped}", fontsize=9.5, loc="left")


def _distortion(figure: Figure, axes: Axes, fit: Fit) -> None:
    """How far the lens moves each point from where a lens without distortion would show it."""
    camera = fit.camera
    u, v = np.meshgrid(np.linspace(-0.5, camera.width - 0.5, 97), np.linspace(-0.5, camera.height - 0.5, 55))
    pixels = np.stack([u, v], axis=-1)
    straight = camera.normalised(pixels) * (camera.focal_px, camera.focal_px * camera.pixel_aspect) + camera.centre_px
    moved = np.ma.masked_invalid(np.linalg.norm(pixels - straight, axis=-1))
    mesh = axes.pcolormesh(u, v, moved, cmap="YlGnBu", shading="gouraud", rasterized=True)
    figure.colorbar(mesh, ax=axes, label="pixels", shrink=0.85)
    axes.plot(*camera.centre_px, marker="+", color="#d95f02", markersize=12)
    _frame(axes, fit, "how far distortion moves a point; + optical axis")
