"""The way of a flight from the side and from the front, to scale, with the pose drawn at its moments."""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from pipeline.edges import dive_svg as svg
from pipeline.edges.dive_poses import FRONT, SIDE, View, pose
from pipeline.edges.dive_scene import Scene
from pipeline.edges.dive_text import board_words, is_springboard, number

_MOST_HIGH_PX: Final = 640.0
_LEFT_PX, _TOP_PX, _RIGHT_PX, _BOTTOM_PX = 34.0, 30.0, 8.0, 62.0
_LABELS_PX: Final = 96.0
"""Between the two views, for the names of the moments."""
_TICK_PX: Final = 32.0
"""Of the axis across, at least, for each number."""
_LEGEND: Final = (
    (34.0, "measured", "centre of gravity, measured"),
    (262.0, "fall", "fitted free fall"),
    (402.0, "left", "left"),
    (456.0, "right", "right"),
)
_SPRINGBOARD_WIDE_M: Final = 0.5
_CLEAR_M: Final = 1.0
"""Between the centres of bodies that are drawn faintly between the moments and any other."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where metres of the flight lie in the drawing: out and sideways across, up for both views."""

    out: svg.Scale
    side: svg.Scale
    up: svg.Scale

    @classmethod
    def of(cls, scene: Scene) -> Self | None:
        """The largest that fits; None if there is nothing to draw."""
        bounds = scene.bounds()
        if bounds is None:
            return None
        low, high = bounds
        wide_m, high_m = float((high - low)[:2].sum()), float((high - low)[2])
        wide_px = svg.WIDE_PX - _LEFT_PX - _LABELS_PX - _RIGHT_PX
        scale = min(wide_px / wide_m, _MOST_HIGH_PX / high_m)
        spare_m = wide_px / scale - wide_m  # a tall drawing is widened to its frame
        high[0] += 0.6 * spare_m
        low[1], high[1] = low[1] - 0.2 * spare_m, high[1] + 0.2 * spare_m
        middle = _LEFT_PX + float((high - low)[0]) * scale
        return cls(
            svg.Scale(low[0], high[0], _LEFT_PX, middle),
            svg.Scale(low[1], high[1], middle + _LABELS_PX, svg.WIDE_PX - _RIGHT_PX),
            svg.Scale(low[2], high[2], _TOP_PX + high_m * scale, _TOP_PX),
        )


def height_px(scene: Scene) -> float:
    """How high the drawing of the views is, 0 if there is none."""
    layout = Layout.of(scene)
    return 0.0 if layout is None else layout.up.start_px + _BOTTOM_PX


def views(scene: Scene, start: str) -> str:
    """Both views beside each other with one axis of height; empty if there is nothing to draw. `start` says from where
    the distance out counts.
    """
    layout = Layout.of(scene)
    if layout is None:
        return ""
    up, bottom = layout.up, layout.up.start_px
    front = "from the water" if scene.water_m is not None else "from the front"
    parts = [
        *_frame(layout.out, up, "from the side", f"metres from the {start}"),
        *_frame(layout.side, up, front, "metres sideways"),
    ]
    parts += _heights(up)
    parts += _water(scene, layout) + _board(scene, layout)
    for across, view in ((layout.out, SIDE), (layout.side, FRONT)):
        parts.append(svg.group((pose(scene, row, across, up, view) for row in _between(scene)), "ghost"))
        parts += _path(scene, across, up, view)
        parts += [pose(scene, moment.row, across, up, view) for moment in scene.moments]
    parts += _names(scene, layout)
    parts.append(_legend(bottom + 52))
    told = "The way of the centre of gravity with the pose at its moments, from the side and from the front"
    return svg.drawing(svg.WIDE_PX, bottom + _BOTTOM_PX, parts, told)


def _between(scene: Scene) -> list[int]:
    """Frames between the moments whose pose fits without touching the others': a tall dive shows how it turns."""
    drawn = [scene.centre_m[moment.row] for moment in scene.moments]
    found: list[int] = []
    for row in np.flatnonzero(scene.flying).tolist():
        centre = scene.centre_m[row]
        far = [float(np.linalg.norm(centre - other)) for other in drawn]
        if far and min(far) >= _CLEAR_M:  # a centre that is not known is never far
            found.append(row)
            drawn.append(centre)
    return found


def _frame(across: svg.Scale, up: svg.Scale, title: str, below: str) -> list[str]:
    """A view's ground, its title, and the axis below it."""
    left, right, bottom = across.start_px, across.end_px, up.start_px
    values, step = svg.ticks(across.low, across.high, max(2, int((right - left) / _TICK_PX)))
    parts = [svg.box(left, up.end_px, right - left, bottom - up.end_px, "panel"), svg.text(left, 18, title, "title")]
    for value in values:
        parts.append(svg.line(across(value), bottom, across(value), bottom + 4, "axis"))
        parts.append(svg.text(across(value), bottom + 16, svg.tick_text(value, step), "tick", "middle"))
    return [*parts, svg.text((left + right) / 2, bottom + 31, below, "tick", "middle")]


def _heights(up: svg.Scale) -> list[str]:
    values, step = svg.ticks(up.low, up.high, 9)
    return [svg.text(_LEFT_PX - 6, up(value) + 4, svg.tick_text(value, step), "tick", "end") for value in values]


def _water(scene: Scene, layout: Layout) -> list[str]:
    if scene.water_m is None:
        return []
    level, bottom = layout.up(scene.water_m), layout.up.start_px
    parts: list[str] = []
    for across in (layout.out, layout.side):
        parts.append(svg.box(across.start_px, level, across.end_px - across.start_px, bottom - level, "water"))
        parts.append(svg.line(across.start_px, level, across.end_px, level, "surface"))
    return [*parts, svg.text(layout.out.start_px + 5, bottom - 6, "water", "place")]


def _board(scene: Scene, layout: Layout) -> list[str]:
    """From the side and from the front; of a platform, wider than the view, all that the view shows."""
    if scene.board_height_m is None:
        return []
    spring = is_springboard(scene.board_height_m)
    half, thick = (_SPRINGBOARD_WIDE_M / 2, 5.0) if spring else (math.inf, 9.0)
    out, side, top = layout.out, layout.side, layout.up(0)
    left, right = max(side(-half), side.start_px), min(side(half), side.end_px)
    return [
        svg.box(out.start_px, top, out(0) - out.start_px, thick, "board"),
        svg.box(left, top, right - left, thick, "board"),
        svg.text(out.start_px + 5, top + thick + 13, board_words(scene.board_height_m), "place"),
    ]


def _path(scene: Scene, across: svg.Scale, up: svg.Scale, view: View) -> list[str]:
    """The way of the centre of gravity in flight, as measured and as fitted."""
    parts: list[str] = []
    for points, kind in ((scene.centre_m, "measured"), (scene.fall_m, "fall")):
        flown = np.where(scene.flying[:, None], points, np.nan)
        parts.append(svg.curve(across.all(flown[:, view.across]), up.all(flown[:, 2]), kind))
    return parts


def _names(scene: Scene, layout: Layout) -> list[str]:
    """Name and time of each moment right of the side view, with a thin line to where the body is then."""
    centres = scene.centre_m[[moment.row for moment in scene.moments]][:, [SIDE.across, 2]]
    at = [
        (layout.out(x), layout.up(z), moment)
        for (x, z), moment in zip(centres.tolist(), scene.moments, strict=True)
        if math.isfinite(x + z)
    ]
    middle, up = layout.out.end_px, layout.up
    places = svg.apart([y for _, y, _ in at], [32.0] * len(at), up.end_px, up.start_px)
    parts: list[str] = []
    for (x, y, moment), place in zip(at, places, strict=True):
        parts.append(f'<path d="M{x:.1f} {y:.1f}L{middle:.1f} {place:.1f}h5" class="leader"/>')
        parts.append(svg.disc(x, y, 3, "centre"))
        parts.append(svg.text(middle + 9, place - 2, moment.name, "name"))
        parts.append(svg.text(middle + 9, place + 12, f"{number(moment.t_s - scene.start_s, 2)} s", "tick"))
    return parts


def _legend(y: float) -> str:
    parts: list[str] = []
    for x, kind, words in _LEGEND:
        parts += [svg.line(x, y - 4, x + 20, y - 4, kind), svg.text(x + 26, y, words, "tick")]
    return svg.group(parts, "pose")
