"""A flight over time, three panels on one axis: bend of hip and knee, turns, rates. Time counts from the take-off."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flight.report import Curves
from pipeline.edges import dive_svg as svg
from pipeline.edges.dive_moments import Moment

Floats = NDArray[np.float64]
Lines = tuple[tuple[str, Floats], ...]
"""Name, which is its style class too, and values (T,) of each."""

_LEFT_PX, _RIGHT_PX = 46.0, 96.0
_TOP_PX, _BOTTOM_PX, _BETWEEN_PX = 54.0, 38.0, 34.0
_PANELS_PX: Final = (165.0, 110.0, 110.0)
CHARTS_PX: Final = _TOP_PX + sum(_PANELS_PX) + _BETWEEN_PX * (len(_PANELS_PX) - 1) + _BOTTOM_PX
"""Height of the drawing."""
_NAMES_DEG: Final = 26
"""Room under the angles for the names of the positions."""
_MOST_TICKS: Final = 5
_LEAST_TURNS, _LEAST_DEG_S = 0.5, 90.0
"""A panel of a body that hardly turns does not blow up its noise."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity of several lines; `high_px` tall over the values low..high."""

    title: str
    lines: Lines
    high_px: float
    low: float
    high: float


def charts(curves: Curves, moments: Sequence[Moment], start_s: float) -> str:
    """The three panels; empty where no frame has a value."""
    panels = _panels(curves)
    values = np.concatenate([line for panel in panels for _, line in panel.lines] or [np.zeros(0)])
    if len(curves.t_s) < 2 or not np.isfinite(values).any():
        return ""
    seconds = curves.t_s - start_s
    time = svg.Scale(float(seconds[0]), float(seconds[-1]), _LEFT_PX, svg.WIDE_PX - _RIGHT_PX)
    y = _TOP_PX
    bottom = CHARTS_PX - _BOTTOM_PX
    parts: list[str] = []
    titles: list[str] = []
    for place, panel in enumerate(panels):
        up = svg.Scale(panel.low, panel.high, y + panel.high_px, y)
        parts.append(svg.box(_LEFT_PX, y, time.end_px - _LEFT_PX, panel.high_px, "panel"))
        parts += _outside(curves, seconds, time, up)
        parts += _positions(curves, seconds, time, up) if place == 0 else []
        parts += _grid(panel, time, up)
        titles.append(svg.text(_LEFT_PX, y - 7, panel.title, "title"))
        parts += _drawn(panel, seconds, time, up)
        y += panel.high_px + _BETWEEN_PX
    parts += _time_axis(time, bottom)
    parts += _events(moments, start_s, time, bottom) + titles
    return svg.drawing(svg.WIDE_PX, CHARTS_PX, parts, _TOLD)


_TOLD: Final = "Angles of hip and knee, turns and rates of somersault and twist over time"


def _panels(curves: Curves) -> list[Panel]:
    known = curves.twist_turns[curves.flying & np.isfinite(curves.twist_turns)]
    sense = -1.0 if len(known) and known[-1] < 0 else 1.0
    turns = _lines(curves.somersault_turns, sense * curves.twist_turns)
    rates = _lines(curves.somersault_deg_s, sense * curves.twist_deg_s)
    bends = (("hip", curves.hip_deg), ("knee", curves.knee_deg))
    return [
        Panel("Bend of hip and knee, degrees (180 is straight)", bends, _PANELS_PX[0], -_NAMES_DEG, 190),
        Panel("Turns since take-off", turns, _PANELS_PX[1], *_range(turns, _LEAST_TURNS)),
        Panel("Rate of turning, degrees a second", rates, _PANELS_PX[2], *_range(rates, _LEAST_DEG_S)),
    ]


def _lines(somersault: Floats, twist: Floats) -> Lines:
    return (("somersault", somersault), ("twist", twist))


def _range(lines: Lines, least: float) -> tuple[float, float]:
    values = np.concatenate([line for *_, line in lines])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min(initial=0))), max(0.0, float(values.max(initial=0)))
    room = 0.07 * max(high - low, least)
    return low - room, max(high, low + least) + room


def _outside(curves: Curves, seconds: Floats, time: svg.Scale, up: svg.Scale) -> list[str]:
    """Grey where the body does not fly."""
    flying = np.flatnonzero(curves.flying)
    if not len(flying):
        return []
    first, last = time(float(seconds[flying[0]])), time(float(seconds[flying[-1]]))
    high = up.start_px - up.end_px
    return [
        svg.box(time.start_px, up.end_px, first - time.start_px, high, "outside"),
        svg.box(last, up.end_px, time.end_px - last, high, "outside"),
    ]


def _positions(curves: Curves, seconds: Floats, time: svg.Scale, up: svg.Scale) -> list[str]:
    """Shades the frames of each position and names it where there is room."""
    if len(curves.positions) != len(seconds):
        return []
    edges = np.concatenate([seconds[:1], (seconds[1:] + seconds[:-1]) / 2, seconds[-1:]])
    parts: list[str] = []
    for position, frames in groupby(range(len(seconds)), key=lambda row: curves.positions[row]):
        rows = list(frames)
        if position is None:
            continue
        left, right = time(float(edges[rows[0]])), time(float(edges[rows[-1] + 1]))
        parts.append(svg.box(left, up.end_px, right - left, up.start_px - up.end_px, f"shade {position}"))
        if right - left > svg.LETTER_PX * len(position) + 6:
            parts.append(svg.text((left + right) / 2, up.start_px - 6, position, f"shade-name {position}", "middle"))
    return parts


def _grid(panel: Panel, time: svg.Scale, up: svg.Scale) -> list[str]:
    values, step = svg.ticks(panel.low, panel.high, _MOST_TICKS)
    parts: list[str] = []
    for value in values:
        parts.append(svg.line(time.start_px, up(value), time.end_px, up(value), "zero" if value == 0 else "grid"))
        parts.append(svg.text(time.start_px - 6, up(value) + 4, svg.tick_text(value, step), "tick", "end"))
    return parts


def _drawn(panel: Panel, seconds: Floats, time: svg.Scale, up: svg.Scale) -> list[str]:
    """The lines, and at their right their names."""
    parts = [svg.curve(time.all(seconds), up.all(values), name) for name, values in panel.lines]
    ends = [_last(values) for _, values in panel.lines]
    known = [(name, end) for (name, _), end in zip(panel.lines, ends, strict=True) if end is not None]
    places = svg.apart([up(end) for _, end in known], [16.0] * len(known), up.end_px, up.start_px)
    for (name, _), place in zip(known, places, strict=True):
        parts.append(svg.text(time.end_px + 8, place + 4, name, f"name {name}"))
    return parts


def _last(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _events(moments: Sequence[Moment], start_s: float, time: svg.Scale, bottom: float) -> list[str]:
    """A vertical line through all panels for each moment, its name above where it keeps clear of the others."""
    at = [time(moment.t_s - start_s) for moment in moments]
    sizes = [svg.LETTER_PX * len(moment.name) + 10 for moment in moments]
    places = svg.apart(at, sizes, 0, svg.WIDE_PX)
    parts: list[str] = []
    for moment, x, place in zip(moments, at, places, strict=True):
        parts.append(f'<path d="M{place:.1f} 17L{x:.1f} {_TOP_PX - 24:.1f}V{bottom:.1f}" class="event"/>')
        parts.append(svg.text(place, 12, moment.name, "name", "middle"))
    return parts


def _time_axis(time: svg.Scale, bottom: float) -> list[str]:
    values, step = svg.ticks(time.low, time.high, 9)
    parts = [svg.line(time(value), bottom, time(value), bottom + 4, "axis") for value in values]
    parts += [svg.text(time(value), bottom + 17, svg.tick_text(value, step), "tick", "middle") for value in values]
    middle = (time.start_px + time.end_px) / 2
    return [*parts, svg.text(middle, bottom + 33, "seconds after take-off", "tick", "middle")]
