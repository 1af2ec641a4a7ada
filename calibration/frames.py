"""Frames of reference: every name that ends a quantity's name, with its origin, axes and unit."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of reference."""

    name: str
    origin: str
    axes: str
    unit: str


FRAMES: Final = (
    Frame(
        "world",
        "centre of the platform's front edge, or as calibrated",
        "x along the platform, y to its left, z up",
        "metre",
    ),
    Frame("cam", "optical centre of the camera", "x right, y down, z forward", "metre"),
    Frame("root", "pelvis of the subject", "those of cam", "metre"),
    Frame("img", "centre of the top-left pixel of the picture as shown", "u right, v down", "pixel"),
    Frame("crop", "centre of the top-left pixel of the 256 x 192 crop", "u right, v down", "crop pixel"),
)


def frame(name: str) -> Frame:
    """The frame called `name`. Raises KeyError with the names there are."""
    for row in FRAMES:
        if row.name == name:
            return row
    raise KeyError(f"no frame of reference {name!r}; have {', '.join(row.name for row in FRAMES)}")


def table() -> str:
    """The frames as a Markdown table, as it stands in this package's README."""
    head = ["| frame | origin | axes | unit |", "|---|---|---|---|"]
    return "\n".join([*head, *(f"| `{row.name}` | {row.origin} | {row.axes} | {row.unit} |" for row in FRAMES)])
