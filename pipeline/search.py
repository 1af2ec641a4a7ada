"""Where to look for a subject that is nowhere yet: ever smaller squares of the picture, a few in each frame.

An athlete on a ten-metre tower fills an eighth of the picture's height; in the whole picture squeezed to the detector's
128 pixels nothing of a body is left but a speck.
"""

import math
from collections.abc import Iterator
from itertools import product
from typing import Final

from pipeline.messages import Box

SCALES: Final = (1.0, 0.55)
"""Sides of the squares, as shares of the picture's shorter side."""
STEP: Final = 0.6
"""Neighbouring squares are at most this share of their side apart, so that each subject is whole in one of them."""


def squares(width: int, height: int) -> tuple[Box, ...]:
    """Windows x0, y0, x1, y1 in `img` that cover a picture, large ones first."""
    found = []
    for scale in SCALES:
        side = scale * min(width, height)
        for top, left in product(_starts(height, side), _starts(width, side)):
            found.append((left - 0.5, top - 0.5, left + side - 0.5, top + side - 0.5))
    return tuple(found)


def _starts(length: float, side: float) -> list[float]:
    steps = math.ceil((length - side) / (STEP * side) - 1e-9)
    return [(length - side) * k / steps for k in range(steps + 1)] if steps > 0 else [0.0]


class Sweep:
    """Goes once through the squares of a picture and remembers what was found."""

    def __init__(self, width: int, height: int) -> None:
        self._left = iter(squares(width, height))
        self._next: Box | None = next(self._left, None)
        self._found: list[tuple[float, Box]] = []

    @property
    def over(self) -> bool:
        """Whether every square was looked at."""
        return self._next is None

    def windows(self, count: int) -> Iterator[Box]:
        """The next `count` squares, fewer at the end."""
        for _ in range(count):
            if self._next is None:
                return
            window, self._next = self._next, next(self._left, None)
            yield window

    def saw(self, box: Box, presence: float) -> None:
        """Take in what was found in a window."""
        self._found.append((presence, box))

    @property
    def presence(self) -> float:
        """That of the likeliest box so far."""
        return max((presence for presence, _ in self._found), default=0.0)

    def likely(self, least: float) -> list[Box]:
        """Boxes of at least this presence, the likeliest first."""
        return [box for presence, box in sorted(self._found, reverse=True) if presence >= least]
