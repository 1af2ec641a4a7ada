"""Boards and platforms as the rules build them: named points that can be found again in a picture.

Dimensions after the facilities rules of the federation (FINA, today World Aquatics), part FR 5: springboards 4.8 m long
and 0.5 m wide (FR 5.1.1), platforms by their height (FR 5.2.2), front edge 0.2 m thick (FR 5.2.3), standing out over
the edge of the pool (FR 5.2.5). Heights are met exactly; the other numbers are least values that a venue may exceed, so
each can be replaced by what was measured there. World axes: origin at the middle of the front edge, x over the water,
y to the left of who looks along x, z up.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.venue import Board

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that can be found in the picture: its name, place in the world (3,), metres, and what it is.

    `own`: of the venue, not of a template.
    """

    name: str
    world_m: tuple[float, float, float]
    what: str
    own: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A board with its surroundings, metres. None: the rules do not say, so there are no points of it.

    `thickness_m` of the front edge; `overhang_m` from the front edge back to the wall of the pool.
    """

    name: str
    board: Board
    thickness_m: float | None = None
    overhang_m: float | None = None

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The points, those that are found most exactly first."""
        return tuple(self._marks())

    def _marks(self) -> Iterator[Mark]:
        board = self.board
        front = "front edge, upper corner"
        yield from self._pair("front", 0.0, 0.0, front)
        if self.thickness_m is not None:
            yield from self._pair("front-lower", 0.0, -self.thickness_m, "front edge, lower corner")
        yield from self._pair("rear", -board.length_m, 0.0, "rear end, upper corner")
        if self.overhang_m is not None:
            yield from self._pair(
                "pool-edge", -self.overhang_m, board.water_z_m, "where pool wall and water meet below the side"
            )
        yield from self._pair("water", 0.0, board.water_z_m, "on the water plumb below the front corner")
        yield Mark("water-middle", (0.0, 0.0, board.water_z_m), "on the water plumb below the middle of the front edge")

    def _pair(self, name: str, x_m: float, z_m: float, what: str) -> Iterator[Mark]:
        half = self.board.width_m / 2
        yield Mark(f"{name}-left", (x_m, half, z_m), f"{what}, left as the diver looks at the water")
        yield Mark(f"{name}-right", (x_m, -half, z_m), f"{what}, right")

    def measured(
        self,
        height_m: float | None = None,
        width_m: float | None = None,
        length_m: float | None = None,
        thickness_m: float | None = None,
        overhang_m: float | None = None,
    ) -> "Template":
        """The same with what was measured at the venue; None: as the rules say. Raises CalibrationError."""
        for name, value in (("thickness", thickness_m), ("overhang", overhang_m)):
            if value is not None and not 0 <= value <= 10:
                raise CalibrationError(f"--{name} {value:g}: expected 0 to 10 metres")
        board = Board(
            self.board.kind,
            self.board.height_m if height_m is None else height_m,
            self.board.width_m if width_m is None else width_m,
            self.board.length_m if length_m is None else length_m,
        )
        return replace(
            self,
            board=board,
            thickness_m=self.thickness_m if thickness_m is None else thickness_m,
            overhang_m=self.overhang_m if overhang_m is None else overhang_m,
        )


def _springboard(height_m: float) -> Template:
    return Template(f"springboard-{height_m:g}", Board("springboard", height_m, 0.5, 4.8))


def _platform(height_m: float, width_m: float, length_m: float, overhang_m: float) -> Template:
    return Template(f"platform-{height_m:g}", Board("platform", height_m, width_m, length_m), 0.2, overhang_m)


TEMPLATES: Final = (
    _springboard(1.0),
    _springboard(3.0),
    _platform(1.0, 0.6, 5.0, 0.75),
    _platform(3.0, 0.6, 5.0, 1.25),
    _platform(5.0, 1.5, 6.0, 1.25),
    _platform(7.5, 1.5, 6.0, 1.5),
    _platform(10.0, 3.0, 6.0, 1.5),
)


def template(name: str) -> Template:
    """The template of that name. Raises CalibrationError with the names there are."""
    for row in TEMPLATES:
        if row.name == name:
            return row
    names = [row.name for row in TEMPLATES]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"have {', '.join(names)}"
    raise CalibrationError(f"--template {name}: not known; {hint}")
