"""Real media for tests, encoded on the spot: each picture shows a smooth scene and its own number as a bar code."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 6
BAR_PX = 16
WIDTH, HEIGHT = 160, 96


def scene(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A smooth coloured picture without symmetry, uint8 RGB (height, width, 3)."""
    v, u = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    red = 40 + 170 * u
    green = 60 + 120 * v + 40 * np.sin(5 * u)
    blue = 200 - 150 * u * v
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


def numbered(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The scene with `index` as white and black bars along its top, uint8 RGB."""
    picture = scene(width, height)
    for bit in range(BITS):
        picture[:BAR_PX, bit * BAR_PX : (bit + 1) * BAR_PX] = 235 if index >> bit & 1 else 20
    return picture


def number_of(luma: np.ndarray) -> int:
    """The number that `numbered` drew, from the luma plane in coded orientation."""
    inner = [luma[4 : BAR_PX - 4, bit * BAR_PX + 4 : (bit + 1) * BAR_PX - 4].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, level in enumerate(inner) if level > 128)


def film(
    path: Path,
    frames: int = 12,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate_hz: int = 25,
    pts_ms: Sequence[int] | None = None,
    rotation_ccw_deg: float | None = None,
    first: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `frames` numbered pictures; `pts_ms` gives each its own time, else they are regular."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate_hz, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation_ccw_deg is not None:
            stream.set_display_rotation(rotation_ccw_deg)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(first + index, *size), "rgb24")
            frame.pts = index if pts_ms is None else pts_ms[index]
            frame.time_base = Fraction(1, rate_hz) if pts_ms is None else Fraction(1, 1000)
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    """A second of silence, no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for index in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, index * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
