"""Patterns of cloth, and pictures of cloth from a folder of textures.

All colours are square roots of linear light, 0 to 255, so that dark cloth keeps its shades in eight bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PANEL_PX: Final = 128
_LETTERS: Final = "ABCDEFGHKLMNOPRSTUVXYZ"


class MaterialError(ValueError):
    """A folder of textures or of light cannot be used."""


@dataclass(frozen=True)
class Materials:
    """Pictures of cloth, each [H, W, 3] uint8 RGB as in the file (gamma coded), sorted by path."""

    cloth: tuple[Array, ...]


def read_materials(folder: Path) -> Materials:
    """The pictures named *_diffuse.* under `folder`/clothes, shoes left out; at most 512 pixels a side.

    Raises MaterialError when there is none or one cannot be read.
    """
    paths = [p for p in sorted((folder / "clothes").glob("**/*_diffuse.*")) if "shoes" not in p.name]
    if not paths:
        raise MaterialError(f"{folder}: no clothes/**/*_diffuse.* pictures; name a folder of clothes textures")
    return Materials(tuple(_read(path) for path in paths))


def _read(path: Path) -> Array:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise MaterialError(f"{path}: not a picture; remove it or get the textures again")
    scale = min(1.0, 512 / max(image.shape[:2]))
    return np.ascontiguousarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1])


def grain(side: int = 128) -> Array:
    """Tileable noise [side, side, 3] uint8, coarse, fine and smooth, mean 128; always the same."""
    rng = np.random.default_rng(5)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * side
    layers = []
    for power in (1.7, 0.9, 2.6):
        wave = np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(frequency, 1.5) ** power
        noise = np.real(np.fft.ifft2(wave))
        layers.append((noise - noise.mean()) / noise.std() * 0.17 + 0.5)
    return np.asarray(np.clip(np.stack(layers, -1) * 255, 0, 255).astype(np.uint8))


def cloth_picture(rng: np.random.Generator, first: Array, second: Array, materials: Materials | None = None) -> Array:
    """The cloth of one athlete [256, 256, 3]: quarters upper front, upper back, lower front, lower back.

    `first` and `second` are linear colours; the upper garment is mostly the first, the lower either. Rows go up the
    body, columns to the athlete's left, as the shader reads them.
    """
    one, two = (tuple(float(c) for c in np.sqrt(np.clip(colour, 0, 1)) * 255) for colour in (first, second))
    kind = int(rng.choice(7, p=[0.40, 0.12, 0.12, 0.10, 0.08, 0.08, 0.10]))
    top = _panel(rng, kind, one, two, materials)
    back = top.copy() if rng.random() < 0.7 else np.full_like(top, np.uint8(one))
    if rng.random() < 0.45:
        _print(rng, top, _contrast(rng, one, two))
    if rng.random() < 0.30:
        _print(rng, back, _contrast(rng, one, two), big=True)
    same = rng.random() < 0.3
    if same and kind:
        bottom = top.copy()
    else:
        bottom = _panel(rng, _bottom_kind(rng), *((one, two) if same else (two, one)), materials)
    rear = bottom.copy()
    if rng.random() < 0.3:
        x = int(rng.choice([40, 88]))
        cv2.rectangle(bottom, (x - 5, 30), (x + 4, 34), one if not same else two, -1)
    rows = [np.concatenate([panel[::-1], other[::-1, ::-1]], 1) for panel, other in ((top, back), (bottom, rear))]
    return np.ascontiguousarray(np.concatenate(rows))


def _bottom_kind(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 2, 5, 6], p=[0.62, 0.18, 0.08, 0.12]))


def _contrast(rng: np.random.Generator, one: Any, two: Any) -> Any:
    far = np.abs(np.subtract(one, two)).max() > 60
    return two if far and rng.random() < 0.6 else (245.0,) * 3 if np.mean(one) < 130 else (25.0,) * 3


def _panel(rng: np.random.Generator, kind: int, one: Any, two: Any, materials: Materials | None) -> Array:
    """One panel, upright: plain, hoops, side panels, sash or yoke, checks, blotches, worn or photographed cloth."""
    side = PANEL_PX
    panel = np.empty((side, side, 3), np.float32)
    panel[:] = one
    middle = side // 2
    if kind == 1:
        pitch, share = rng.uniform(4, 22), rng.uniform(0.2, 0.6)
        panel[(np.arange(side) / pitch) % 1 < share] = two
    elif kind == 2:
        half = int(rng.integers(7, 17))
        edge = int(rng.integers(1, 12))
        panel[:, : middle - half] = two
        panel[:, middle + half :] = two
        panel[:, : middle - half - edge] = one if rng.random() < 0.6 else two
        panel[:, middle + half + edge :] = one if rng.random() < 0.6 else two
    elif kind == 3:
        points = rng.integers(-10, side + 10, (2, 2))
        cv2.line(panel, points[0].tolist(), points[1].tolist(), two, int(rng.integers(4, 45)))
        if rng.random() < 0.5:
            panel[: int(rng.integers(30, 60))] = two
    elif kind == 4:
        pitch = rng.uniform(4, 14)
        band = (np.arange(side) / pitch) % 1 < 0.5
        panel += 0.5 * (band[:, None] ^ band[None, :])[..., None] * np.subtract(two, one).astype(np.float32)
    elif kind == 5:
        small = rng.normal(size=(int(rng.integers(8, 30)),) * 2).astype(np.float32)
        blot = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
        panel[blot > 0.3] = two
        panel[blot < -0.7] = np.multiply(one, 0.5)
    elif kind == 6 and materials is not None:
        panel = _photographed(rng, materials, one)
    elif kind == 6:
        fade = 1 + 0.25 * np.cos((np.arange(side) - middle) / 9.0)
        panel *= np.repeat(fade[None, :], side, 0)[..., None].astype(np.float32)
        panel += rng.normal(0, 10, (side, side, 1)).astype(np.float32)
    return np.asarray(panel.clip(0, 255).astype(np.uint8))


def _photographed(rng: np.random.Generator, materials: Materials, tint: Any) -> Array:
    source = materials.cloth[int(rng.integers(len(materials.cloth)))]
    height, width = source.shape[:2]
    size = int(min(height, width) * rng.uniform(0.2, 0.6))
    y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    patch = cv2.resize(source[y : y + size, x : x + size], (PANEL_PX, PANEL_PX), interpolation=cv2.INTER_AREA)
    picture = patch.astype(np.float32)
    if rng.random() < 0.6:
        shade = picture.mean(-1, keepdims=True)
        picture = np.asarray(tint, np.float32) * (0.35 + 0.65 * shade / max(float(shade.mean()), 1.0))
    return picture


def _print(rng: np.random.Generator, panel: Array, colour: Any, big: bool = False) -> None:
    """A number, a word or a shape on the chest or the back."""
    centre = np.array([PANEL_PX / 2 + rng.normal(0, 3), 46 + rng.normal(0, 5)])
    choice = rng.random()
    if choice < 0.55:
        word = (
            str(int(rng.integers(1, 100)))
            if big or rng.random() < 0.4
            else "".join(rng.choice(list(_LETTERS), int(rng.integers(3, 7))))
        )
        scale = float(rng.uniform(0.5, 1.0)) if len(word) < 3 else float(rng.uniform(0.25, 0.42))
        font, thick = int(rng.choice([0, 2, 3])), int(rng.integers(1, 4 if len(word) < 3 else 2))
        (width, height), _ = cv2.getTextSize(word, font, scale, thick)
        place = (int(centre[0] - width / 2), int(centre[1] + height / 2))
        cv2.putText(panel, word, place, font, scale, colour, thick, cv2.LINE_AA)
    elif choice < 0.8:
        axes = rng.integers(2, 13, 2).tolist()
        cv2.ellipse(panel, centre.astype(int).tolist(), axes, 0, 0, 360, colour, int(rng.choice([-1, 2])), cv2.LINE_AA)
    else:
        corners = (centre + rng.normal(0, 8, (int(rng.integers(3, 7)), 2))).astype(np.int32)
        cv2.fillPoly(panel, [corners], colour, cv2.LINE_AA)
