"""Small outlined lettering on pictures: the DejaVu face that matplotlib brings along, drawn by Pillow."""

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Bytes = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

INK: Colour = (24, 20, 16)
"""Outlines and panels, BGR."""
PAPER: Colour = (245, 245, 245)
"""Lettering, BGR."""


@lru_cache(maxsize=8)
def _face(size_px: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size_px)


@lru_cache(maxsize=512)
def _masks(text: str, size_px: int, bold: bool) -> tuple[Bytes, Bytes]:
    """Coverage 0..255 of the letters with and without outline, same shape (height, width)."""
    face = _face(size_px, bold)
    stroke = max(1, round(size_px / 9))
    width = int(np.ceil(face.getlength(text))) + 2 * stroke + 2
    ascent, descent = face.getmetrics()
    masks = []
    for outline in (stroke, 0):
        image = Image.new("L", (width, ascent + descent + 2 * stroke))
        ImageDraw.Draw(image).text((stroke, stroke), text, fill=255, font=face, stroke_width=outline)
        masks.append(np.asarray(image, np.uint8))
    return masks[0], masks[1]


def text_size(text: str, size_px: int, bold: bool = False) -> tuple[int, int]:
    """Width and height that `write` covers, pixels."""
    height, width = _masks(text, size_px, bold)[0].shape
    return width, height


def write(
    picture: Bytes,
    text: str,
    at_px: tuple[int, int],
    size_px: int,
    colour: Colour = PAPER,
    bold: bool = False,
) -> None:
    """Write `text` with its top left corner at `at_px` (u, v); what falls outside the picture is cut off."""
    outlined, letters = _masks(text, size_px, bold)
    blend(picture, outlined, at_px, INK, 0.75)
    blend(picture, letters, at_px, colour, 1.0)


def blend(picture: Bytes, mask: Bytes, at_px: tuple[int, int], colour: Colour, opacity: float) -> None:
    """Lay `colour` over the picture (H, W, 3) where `mask` (h, w) covers it; `at_px` is its top left."""
    u, v = at_px
    left, top = max(u, 0), max(v, 0)
    right, bottom = min(u + mask.shape[1], picture.shape[1]), min(v + mask.shape[0], picture.shape[0])
    if right <= left or bottom <= top:
        return
    region = picture[top:bottom, left:right]
    cover = mask[top - v : bottom - v, left - u : right - u, None] * np.float32(opacity / 255.0)
    region[:] = np.rint(region + cover * (np.array(colour, np.float32) - region)).astype(np.uint8)
