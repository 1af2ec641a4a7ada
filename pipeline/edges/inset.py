"""The inset panel: the 3D pose from the camera and from the side, orthographic, pelvis in the middle."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.edges.draw import draw_bones, line, plate
from pipeline.edges.lettering import Bytes, Colour, text_size, write

Floats = npt.NDArray[np.float32]

LEAST_SPAN_M: Final = 1.8
"""A view is at least so many metres high."""
_GREY: Final[Colour] = (150, 150, 150)
_FAINT: Final[Colour] = (92, 88, 84)
_ALL_SURE: Final = np.ones(17, np.float32)


@dataclass(frozen=True, slots=True)
class Panel:
    """Where the panel lies in the picture, pixels; its two views are side by side."""

    left: int
    top: int
    width: int
    height: int
    span_m: float
    """Height of a view in metres, the same for the whole video."""

    def covered(self, box_img_px: Floats) -> float:
        """Share of a subject's box (left, top, right, bottom) under the panel."""
        left, top, right, bottom = (float(edge) for edge in box_img_px)
        overlap_u = min(right, self.left + self.width) - max(left, self.left)
        overlap_v = min(bottom, self.top + self.height) - max(top, self.top)
        area = max((right - left) * (bottom - top), 1.0)
        return max(overlap_u, 0.0) * max(overlap_v, 0.0) / area


def place(picture_px: tuple[int, int], boxes_img_px: Floats, joints_root_m: Floats) -> Panel | None:
    """The panel in the corner where it hides the subject least; None in pictures too small for one.

    `picture_px` is width and height; boxes [F,4] and joints [F,17,3] may hold NaN. The scale fits nearly
    all poses. The top left corner is the caption's.
    """
    width, height = picture_px
    panel_h = round(0.32 * min(height, 1.2 * width))
    panel_w = round(1.5 * panel_h)
    margin = max(4, round(0.015 * height))
    if panel_h < 80:
        return None
    right, bottom = width - panel_w - margin, height - panel_h - margin
    corners = ((right, margin), (right, bottom), (margin, bottom))
    span_m = _span_m(joints_root_m, 0.5 * panel_w / panel_h)
    panels = [Panel(left, top, panel_w, panel_h, span_m) for left, top in corners]
    boxes = boxes_img_px[np.isfinite(boxes_img_px).all(axis=1)]
    return min(panels, key=lambda panel: sum(panel.covered(box) for box in boxes))


def _span_m(joints_root_m: Floats, aspect: float) -> float:
    """Height of a view, metres, in which nearly all poses fit; `aspect` is a view's width over its height."""
    known = np.abs(joints_root_m[np.isfinite(joints_root_m).all(axis=(1, 2))])
    if not len(known):
        return LEAST_SPAN_M
    across, upright = known[..., (0, 2)].max(axis=(1, 2)), known[..., 1].max(axis=1)
    needed = np.maximum(2.5 * upright, 2.2 * across / aspect)
    return max(LEAST_SPAN_M, float(np.percentile(needed, 98)))


def draw_inset(picture: Bytes, panel: Panel, joints_root_m: Floats) -> None:
    """Draw both views of a pose [17,3] (pelvis-relative, camera axes, metres; NaN: none) into the panel."""
    plate(picture, panel.left, panel.top, panel.width, panel.height)
    view_w = panel.width // 2
    x, y, z = joints_root_m.T
    text_px = max(9, panel.height // 16)
    _scale_bar(picture, panel, text_px)
    views = (("camera", "x", x, z), ("side", "z", z, -x))
    for index, (title, across, horizontal, depth) in enumerate(views):
        left = panel.left + index * view_w
        centre = np.array([left + view_w / 2, panel.top + panel.height / 2], np.float32)
        scale = panel.height / panel.span_m
        _axes(picture, panel, left, view_w, across, text_px)
        write(picture, title, (left + text_px // 2, panel.top + text_px // 3), text_px, (200, 200, 200))
        if np.isfinite(joints_root_m).all():
            points = centre + scale * np.stack([horizontal, y], axis=1).astype(np.float32)
            draw_bones(picture, points, _ALL_SURE, depth.astype(np.float32), max(2, panel.height // 75))
    if not np.isfinite(joints_root_m).all():
        width, height = text_size("no subject", text_px)
        middle = (panel.left + (panel.width - width) // 2, panel.top + (panel.height - height) // 2)
        write(picture, "no subject", middle, text_px, _GREY)


def _axes(picture: Bytes, panel: Panel, left: int, view_w: int, across: str, text_px: int) -> None:
    """Axes of the view in its lower left corner, and faint lines through the pelvis."""
    bottom = panel.top + panel.height
    middle_u, middle_v = left + view_w / 2, panel.top + panel.height / 2
    reach = 0.42 * view_w
    horizontal = np.array([[middle_u - reach, middle_v], [middle_u + reach, middle_v]], np.float32)
    vertical = np.array([[middle_u, panel.top + 2.2 * text_px], [middle_u, bottom - 1.2 * text_px]], np.float32)
    line(picture, horizontal[0], horizontal[1], _FAINT, 1)
    line(picture, vertical[0], vertical[1], _FAINT, 1)
    arm = 1.6 * text_px
    corner = np.array([left + 0.8 * text_px, bottom - arm - 1.6 * text_px], np.float32)
    tips = corner + np.array([[arm, 0], [0, arm]], np.float32)
    offsets = ((3, -text_px // 2 - 2), (-text_px // 4, 0))
    for tip, name, offset in zip(tips, (across, "y"), offsets, strict=True):
        _arrow(picture, corner, tip, 0.3 * text_px)
        at_px = (round(float(tip[0])) + offset[0], round(float(tip[1])) + offset[1])
        write(picture, name, at_px, text_px, _GREY)


def _arrow(picture: Bytes, start: Floats, tip: Floats, head_px: float) -> None:
    along = (tip - start) / np.linalg.norm(tip - start)
    aside = np.array([-along[1], along[0]], np.float32)
    line(picture, start, tip, _GREY, 1)
    for side in (-0.6, 0.6):
        line(picture, tip, tip - head_px * (along + side * aside), _GREY, 1)


def _scale_bar(picture: Bytes, panel: Panel, text_px: int) -> None:
    """Half a metre, at the bottom of the panel."""
    half_px = 0.25 * panel.height / panel.span_m
    ends = np.array([[-half_px, 0], [half_px, 0]], np.float32)
    ends += np.array(
        [panel.left + panel.width - half_px - text_px, panel.top + panel.height - 0.7 * text_px], np.float32
    )
    line(picture, ends[0], ends[1], _GREY, 2)
    width, height = text_size("0.5 m", text_px - 1)
    middle = (round(float(ends[:, 0].mean()) - width / 2), round(float(ends[0, 1])) - height)
    write(picture, "0.5 m", middle, text_px - 1, _GREY)
