"""The motion of one video at a glance, from `poses.npz` and the truth where there is one."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from engines.skeleton import BONES, JOINT_NAMES, LEFT, PELVIS, RIGHT
from pipeline.edges.output import whole_file
from pipeline.edges.poses import REVISIONS, Poses
from pipeline.edges.truth import Truth, compared, per_frame_mpjpe_mm

Array = npt.NDArray[np.float64]

LEFT_HEX: Final = "#e69f00"
RIGHT_HEX: Final = "#2b8cd8"
MID_HEX: Final = "#3a3a3a"
_THORAX: Final = JOINT_NAMES.index("thorax")
_HEAD: Final = JOINT_NAMES.index("head")
_ANKLES: Final = (JOINT_NAMES.index("left_ankle"), JOINT_NAMES.index("right_ankle"))
FILM_POSES: Final = 8
_TRACES: Final = (("head", "#cc79a7"), ("pelvis", "#009e73"), ("ankles, mean", "#0072b2"))


def write_plot(poses: Poses, path: Path, truth: Truth | None = None, title: str = "") -> None:
    """Write the figure as PNG, whole or not at all; the title is the folder's name by default. Raises OutputError."""
    figure = draw(poses, truth, title or path.parent.name)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=110)


def draw(poses: Poses, truth: Truth | None, title: str) -> Figure:
    """The figure: heights, trunk angle, error (with truth), confidences, and a strip of 3D poses below."""
    rows = 4 + (truth is not None)
    figure = Figure(figsize=(11.5, 2.0 * rows + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [1.5, 1.2, *([0.9] if truth is not None else []), 1.3, 2.0]
    grid = figure.add_gridspec(rows, 1, height_ratios=ratios)
    first = figure.add_subplot(grid[0])
    heights(first, poses, truth)
    panels = [first]
    for row in range(1, rows - 1):
        panels.append(figure.add_subplot(grid[row], sharex=first))
    trunk(panels[1], poses, truth)
    if truth is not None:
        errors(panels[2], poses, truth)
    confidences(figure, panels[-1], poses)
    panels[-1].set_xlabel("media time, s")
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
        panel.grid(color="#e4e4e4", linewidth=0.7)
        panel.spines[["top", "right"]].set_visible(False)
    film(figure.add_subplot(grid[-1]), poses)
    figure.suptitle(_title(poses, title), fontsize=12, x=0.01, ha="left")
    return figure


def _title(poses: Poses, title: str) -> str:
    best = REVISIONS[int(poses.revision.max())] if len(poses) else "no"
    return f"{title}: {len(poses)} frames, {best} poses, tracked in {int(poses.tracked.sum())}"


def heights(axes: Axes, poses: Poses, truth: Truth | None) -> None:
    """Vertical place of head, pelvis and ankles in the picture over time, pixels, up is up."""
    for (name, colour), values in zip(_TRACES, _traces(poses.joints_img_px.astype(np.float64)), strict=True):
        axes.plot(poses.t_media_s, values, color=colour, linewidth=1.6, label=name)
    if truth is not None:
        seq = poses.seq[poses.seq < len(truth)]
        seconds = poses.t_media_s[poses.seq < len(truth)]
        for (_, colour), values in zip(_TRACES, _traces(truth.joints_img_px[seq]), strict=True):
            axes.plot(seconds, values, color=colour, linewidth=1.1, linestyle=(0, (4, 3)), alpha=0.8)
        axes.plot([], [], color="#777777", linewidth=1.1, linestyle=(0, (4, 3)), label="truth")
    axes.set_ylabel("height in the\npicture, v px")
    axes.invert_yaxis()
    axes.legend(loc="upper right", ncols=4, fontsize=8, frameon=False)


def _traces(joints_img_px: Array) -> tuple[Array, Array, Array]:
    """v of head, pelvis and the ankles' mean, each [F]."""
    v = joints_img_px[..., 1]
    return v[:, _HEAD], v[:, PELVIS], v[:, _ANKLES].mean(axis=1)


def trunk_angle_deg(joints_root_m: Array) -> Array:
    """Angle of pelvis to thorax in the camera's picture plane, degrees, unwrapped. [F,17,3] to [F].

    0 upright, 90 leaning to the right of the picture, 180 upside down; NaN where the pose is not known.
    """
    x, y = (joints_root_m[:, _THORAX] - joints_root_m[:, PELVIS])[:, :2].T
    angle = np.arctan2(x, -y)
    known = np.isfinite(angle)
    angle[known] = np.unwrap(angle[known])
    return np.asarray(np.degrees(angle))


def trunk(axes: Axes, poses: Poses, truth: Truth | None) -> None:
    """Lean of the trunk over time, full turns counted."""
    angle = trunk_angle_deg(poses.joints_root_m.astype(np.float64))
    axes.plot(poses.t_media_s, angle, color=MID_HEX, linewidth=1.6, label="trunk")
    if truth is not None:
        seq = poses.seq[poses.seq < len(truth)]
        exact = _same_turn(trunk_angle_deg(truth.joints_root_m[seq]), angle[poses.seq < len(truth)])
        seconds = poses.t_media_s[poses.seq < len(truth)]
        axes.plot(seconds, exact, color="#777777", linewidth=1.1, linestyle=(0, (4, 3)), label="truth")
        axes.legend(loc="upper right", ncols=2, fontsize=8, frameon=False)
    axes.set_ylabel("trunk angle in the\npicture plane, deg")


def _same_turn(angle: Array, other: Array) -> Array:
    """`angle` moved by whole turns to where `other` begins."""
    both = np.isfinite(angle) & np.isfinite(other)
    if not both.any():
        return angle
    first = int(np.argmax(both))
    return np.asarray(angle + 360.0 * np.round((other[first] - angle[first]) / 360.0))


def errors(axes: Axes, poses: Poses, truth: Truth) -> None:
    """Mean joint error of each frame against the truth of this video, mm."""
    rows = compared(poses, truth)
    values = np.full(len(poses), np.nan)
    exact = truth.joints_root_m[poses.seq[rows]]
    values[rows] = per_frame_mpjpe_mm(poses.joints_root_m[rows].astype(np.float64), exact)
    axes.fill_between(poses.t_media_s, 0, values, color="#d55e00", alpha=0.18, linewidth=0)
    axes.plot(poses.t_media_s, values, color="#d55e00", linewidth=1.4)
    if np.isfinite(values).any():
        mean = float(np.nanmean(values))
        axes.axhline(mean, color="#d55e00", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"mean {mean:.0f} mm",
            (1.0, mean),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            ha="right",
            va="bottom",
        )
    axes.set_ylabel("MPJPE, mm")
    axes.set_ylim(bottom=0)


def confidences(figure: Figure, axes: Axes, poses: Poses) -> None:
    """Confidence of every joint over time; grey where nobody was tracked."""
    colours = LinearSegmentedColormap.from_list("sure", ["#f5efe6", "#7fb7d6", "#12476e"])
    axes.set_facecolor("#c8c8c8")  # shows where a value is masked
    axes.set_yticks(np.arange(len(JOINT_NAMES)) + 0.5, [name.replace("_", " ") for name in JOINT_NAMES], fontsize=5.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(JOINT_NAMES), 0)
    if not len(poses):
        return
    seconds = poses.t_media_s
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.04
    edges = np.concatenate([seconds - step / 2, seconds[-1:] + step / 2])
    known = np.ma.masked_invalid(poses.joints_conf.T)
    grid = np.arange(len(JOINT_NAMES) + 1)
    mesh = axes.pcolormesh(edges, grid, known, cmap=colours, vmin=0, vmax=1, rasterized=True)
    figure.colorbar(mesh, ax=axes, pad=0.01, aspect=10, label="confidence")


def film(axes: Axes, poses: Poses, count: int = FILM_POSES) -> None:
    """A strip of 3D poses across the video as the camera sees them, metres, nearer bones on top."""
    known = np.flatnonzero(np.isfinite(poses.joints_root_m).all(axis=(1, 2)))
    axes.set_aspect("equal")
    axes.axis("off")
    if not len(known):
        axes.text(0.5, 0.5, "no subject was tracked", ha="center", va="center", transform=axes.transAxes)
        return
    chosen = known[np.unique(np.linspace(0, len(known) - 1, count).round().astype(int))]
    joints_m = poses.joints_root_m[chosen].astype(np.float64)
    pitch_m = max(1.0, 1.08 * float(np.ptp(joints_m[..., 0], axis=1).max()))
    low = float(joints_m[..., 1].max()) + 0.22
    for place, (row, pose) in enumerate(zip(chosen, joints_m, strict=True)):
        shift = place * pitch_m - float(pose[:, 0].min() + pose[:, 0].max()) / 2
        _skeleton(axes, pose, shift)
        label = f"{poses.t_media_s[row]:.2f} s\nframe {poses.seq[row]}"
        axes.text(place * pitch_m, low, label, ha="center", va="top", fontsize=7.5, color="#555555")
    axes.plot([-pitch_m / 2, 0.5 - pitch_m / 2], [low - 0.12] * 2, color="#888888", linewidth=2)
    axes.text(0.25 - pitch_m / 2, low - 0.08, "0.5 m", ha="center", va="top", fontsize=7, color="#888888")
    top = float(joints_m[..., 1].min()) - 0.2
    axes.set_xlim(-pitch_m * 0.6, (len(chosen) - 0.4) * pitch_m)
    axes.set_ylim(low + 0.4, top)
    for place_x, colour, name in (
        (0.0, LEFT_HEX, "left"),
        (0.05, RIGHT_HEX, "right"),
        (0.11, MID_HEX, "midline"),
    ):
        axes.text(place_x, 1.0, name, color=colour, fontsize=8, transform=axes.transAxes, va="top", weight="bold")


def _skeleton(axes: Axes, pose: Array, shift: float) -> None:
    order = sorted(BONES, key=lambda bone: -float(pose[bone[0], 2] + pose[bone[1], 2]))
    for layer, (parent, joint) in enumerate(order):
        colour = LEFT_HEX if joint in LEFT else RIGHT_HEX if joint in RIGHT else MID_HEX
        ends: Any = pose[[parent, joint]]
        axes.plot(
            ends[:, 0] + shift,
            ends[:, 1],
            color=colour,
            linewidth=2.4,
            solid_capstyle="round",
            zorder=2 + layer,
        )
    head, nose = pose[_HEAD], pose[_HEAD - 1]
    centre, radius = (head + nose) / 2, 0.7 * float(np.linalg.norm(head - nose))
    turn = np.linspace(0, 2 * np.pi, 40)
    axes.fill(
        centre[0] + shift + radius * np.cos(turn),
        centre[1] + radius * np.sin(turn),
        facecolor="white",
        edgecolor=MID_HEX,
        linewidth=1.6,
        zorder=30,
    )
