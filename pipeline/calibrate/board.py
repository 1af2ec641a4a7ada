"""`posecast calibrate board`: a calibration board as PDF, drawn in areas and lines, which prints in its true size."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from rich.console import Console

from calibration.board import Kind, Markers, Pattern
from calibration.errors import CalibrationError
from pipeline.edges.output import make_folder, whole_file

PAPERS_MM: Final = {"a4": (297, 210), "a3": (420, 297), "a2": (594, 420), "a1": (841, 594), "a0": (1189, 841)}
"""Width and height of a sheet laid across (ISO 216)."""
_MM_PER_INCH: Final = 25.4
_MARGIN_MM: Final = 10.0
"""What printers leave white at every edge, and the white that a board needs around it."""
_FOOT_MM: Final = 32.0
_FOOT_LEFT_MM: Final = 25.0
_RULER_MM: Final = 100


def write_board(
    out: Path, kind: Kind, sides: tuple[int, int], square_mm: float, markers: Markers, paper: str, console: Console
) -> None:
    """Write the PDF and print what to do with it. Raises CalibrationError if the board does not fit the paper."""
    pattern = fitted(kind, sides, square_mm, markers, paper)
    figure = draw(pattern, paper)
    make_folder(out.parent)
    with whole_file(out) as part:
        figure.savefig(part, format="pdf", metadata={"Title": f"posecast {pattern}", "CreationDate": None})
    console.print(f"{out}: {pattern}, on {paper.upper()}", soft_wrap=True, highlight=False)
    console.print(
        f"Print it at 100 %, check the ruler, glue it to something flat and stiff, and film it. Then:\n"
        f"  {next_command(pattern)}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def fitted(kind: Kind, sides: tuple[int, int], square_mm: float, markers: Markers, paper: str) -> Pattern:
    """The board asked for; its squares as large as the paper takes, in whole millimetres, where they are 0."""
    width, height = PAPERS_MM[paper]
    columns, rows = sides
    probe = Pattern(kind, columns, rows, 1.0, markers)  # refuses impossible numbers of squares
    most = min((width - 2 * _MARGIN_MM) / probe.columns, (height - _MARGIN_MM - _FOOT_MM) / probe.rows)
    if square_mm > most:
        raise CalibrationError(
            f"{columns} x {rows} squares of {square_mm:g} mm do not fit on {paper.upper()}; at most {int(most)} mm, or "
            "another --paper"
        )
    return Pattern(kind, columns, rows, square_mm or float(int(most)), markers)


def next_command(pattern: Pattern) -> str:
    """What to type when the board has been filmed."""
    markers = f" --markers {pattern.markers}" if pattern.kind == "charuco" else ""
    return (
        f"posecast calibrate intrinsics VIDEO --out camera.toml --kind {pattern.kind} --columns {pattern.columns} "
        f"--rows {pattern.rows} --square-mm {pattern.square_mm:g}{markers}"
    )


def draw(pattern: Pattern, paper: str) -> Figure:
    """One page; its axes are millimetres from the top left corner of the paper, down."""
    width, height = PAPERS_MM[paper]
    figure = Figure(figsize=(width / _MM_PER_INCH, height / _MM_PER_INCH))
    FigureCanvasPdf(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    left = (width - pattern.size_mm[0]) / 2
    # One path for all that is black: areas of different paths that touch show a hair of white between them.
    axes.add_patch(PathPatch(_outline(pattern.black_mm, left), facecolor="black", linewidth=0))
    foot = height - _FOOT_MM + 8
    _ruler(axes, min(left, _FOOT_LEFT_MM), foot)
    _words(axes, pattern, min(left, _FOOT_LEFT_MM) + _RULER_MM + 14, foot)
    return figure


def _outline(rectangles_mm: NDArray[np.float64], left: float) -> Outline:
    x, y, width, height = (rectangles_mm + (left, _MARGIN_MM, 0.0, 0.0)).T  # noqa: RUF005
    corners = np.stack([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]).transpose(2, 0, 1)
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(x)
    return Outline(corners.reshape(-1, 2), codes)


def _ruler(axes: Axes, left: float, top: float) -> None:
    for mm in range(_RULER_MM + 1):
        length = 5.0 if mm % 10 == 0 else 3.5 if mm % 5 == 0 else 2.0
        axes.plot([left + mm] * 2, [top, top + length], color="black", linewidth=0.35, solid_capstyle="butt")
        if mm % 10 == 0:
            axes.text(left + mm, top + 6, str(mm), fontsize=7, ha="center", va="top")
    axes.plot([left, left + _RULER_MM], [top] * 2, color="black", linewidth=0.35, solid_capstyle="butt")
    note = f'{_RULER_MM} mm. Measure it: if it is not, print again at 100 % ("actual size"), not fitted to the page.'
    axes.text(left, top + 11.5, note, fontsize=6.5, va="top")


def _words(axes: Axes, pattern: Pattern, left: float, top: float) -> None:
    lines = next_command(pattern).replace(" --kind", " \\\n    --kind").replace(" --square", " \\\n    --square")
    axes.text(left, top - 1, f"posecast: {pattern}", fontsize=8, va="top", weight="bold")
    axes.text(left, top + 4, "Glue it to something flat and stiff, film it, then type:", fontsize=7, va="top")
    axes.text(left, top + 8.5, lines, fontsize=6, va="top", family="monospace", linespacing=1.25)
