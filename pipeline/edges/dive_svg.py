"""Drawing in SVG: scales, ticks, lines with gaps and labels that keep clear of each other. Styled by `dive.css`."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MINUS: Final = "\N{MINUS SIGN}"
WIDE_PX: Final = 520.0
"""Width of every drawing: at this width its text has the size that the style sheet says."""
LETTER_PX: Final = 7.8
"""Width of a letter of the drawings' text, on the wide side: fonts differ, and on phones the text is larger."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels of a drawing, linear: `low` lies at `start_px`, `high` at `end_px`."""

    low: float
    high: float
    start_px: float
    end_px: float

    def __call__(self, value: float) -> float:
        """The place of one value, pixels."""
        return self.start_px + (value - self.low) / (self.high - self.low) * (self.end_px - self.start_px)

    def all(self, values: Floats) -> Floats:
        """The places of many values, pixels; NaN stays NaN."""
        return np.asarray(self.start_px + (values - self.low) / (self.high - self.low) * (self.end_px - self.start_px))


def ticks(low: float, high: float, most: int) -> tuple[list[float], float]:
    """At most `most` round values within low..high, and their step of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * times for times in (1, 2, 5, 10, 20) if span / (power * times) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)], step


def tick_text(value: float, step: float) -> str:
    """A tick's value with no more decimals than its step has."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value + 0.0:.{decimals}f}".replace("-", MINUS)


def apart(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of labels of these sizes near the wanted places, in their order, without overlap, within low..high.

    Labels that do not fit at all overlap at the ends.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    gaps = [(sizes[a] + sizes[b]) / 2 for a, b in pairwise(order)]
    places = [wanted[index] for index in order]
    # Pushed one way and pushed the other way both keep the gaps, and so does their mean, which is the fairest.
    places = [(a + b) / 2 for a, b in zip(_upwards(places, gaps), _downwards(places, gaps), strict=True)]
    if order:
        places[-1] = min(places[-1], high - sizes[order[-1]] / 2)
        places = _downwards(places, gaps)
        places[0] = max(places[0], low + sizes[order[0]] / 2)
        places = _upwards(places, gaps)
    found = [0.0] * len(order)
    for index, place in zip(order, places, strict=True):
        found[index] = place
    return found


def _upwards(places: Sequence[float], gaps: Sequence[float]) -> list[float]:
    found = list(places[:1])
    for place, gap in zip(places[1:], gaps, strict=True):
        found.append(max(place, found[-1] + gap))
    return found


def _downwards(places: Sequence[float], gaps: Sequence[float]) -> list[float]:
    return [-place for place in _upwards([-place for place in places[::-1]], gaps[::-1])][::-1]


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of the style class `kind`."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def box(x: float, y: float, wide: float, high: float, kind: str) -> str:
    """A filled rectangle; (x, y) is its upper left corner."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0):.1f}" height="{max(high, 0):.1f}" class="{kind}"/>'


def disc(x: float, y: float, radius: float, kind: str) -> str:
    """A circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{kind}"/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words that begin (start), are centred (middle) or end at x; y is their base line."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def curve(x_px: Floats, y_px: Floats, kind: str) -> str:
    """A line through points (N,), (N,); it breaks where either is NaN."""
    parts: list[str] = []
    pen = "M"
    for x, y in zip(x_px.tolist(), y_px.tolist(), strict=True):
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return f'<path d="{"".join(parts)}" class="{kind}"/>' if parts else ""


def group(content: Iterable[str], kind: str) -> str:
    """Elements that share a style class."""
    return f'<g class="{kind}">{"".join(content)}</g>'


def drawing(wide: float, high: float, content: Iterable[str], told: str) -> str:
    """The drawing with its size in pixels, and what it shows in words for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {wide:.0f} {high:.0f}" role="img" aria-label="{escape(told, quote=True)}">'
        f"{''.join(content)}</svg>"
    )
