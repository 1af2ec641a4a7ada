"""Where the tracker may look in a scene, what it sees there, and where the subject is in it.

Windows and boxes are x0, y0, x1, y1 in coordinates -1..1 of a square scene; `theta` is half width, half height,
centre x, centre y in coordinates -1..1 of the window.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.contracts import STN_PX
from training.synth import backgrounds

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

PRESENT: Final = 0.5
"""Share of a box's area in the window from which the subject counts as present."""
ABSENT: Final = 0.12
"""Share below which it counts as absent."""
SMALLEST: Final = 0.04
"""A subject whose longer side is a smaller share of the window is too small to be learned from."""
_SMALL_PX: Final = 48
"""Side to which a scene is reduced to see what stands out."""
_TRIES: Final = 12
ASPECTS: Final = (16 / 9, 16 / 9, 16 / 9, 4 / 3, 1.0, 9 / 16)
"""Width to height of whole pictures."""


def whole_window(rng: np.random.Generator, box: Array | None) -> Array:
    """A picture of some aspect x0, y0, x1, y1 in scene coordinates, with the whole subject if it fits."""
    aspect = float(rng.choice(ASPECTS)) * float(np.exp(rng.normal(0, 0.08)))
    half = np.array([min(1.0, aspect), min(1.0, 1 / aspect)]) * rng.uniform(0.75, 1.0)
    centre = rng.uniform(-1, 1, 2) * (1 - half)
    if box is not None:
        low, high = np.maximum(box[2:] - half, half - 1), np.minimum(box[:2] + half, 1 - half)
        fits = low <= high
        centre = np.where(fits, rng.uniform(np.minimum(low, high), np.maximum(low, high)), (box[:2] + box[2:]) / 2)
        centre = np.clip(centre, half - 1, 1 - half)
    return np.concatenate([centre - half, centre + half])


def follow_window(rng: np.random.Generator, box: Array) -> Array:
    """The tracker's window around a predicted box: its side twice the longer one, off by what predictions err.

    The first look around a box found in the whole picture errs more; both are drawn. It may leave the scene.
    """
    middle, longer = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
    wide = rng.random() < 0.4
    side = longer * float(np.clip(2.0 * np.exp(rng.normal(0.05, 0.4 if wide else 0.18)), 1.15, 5.0))
    miss = rng.normal(0, 0.22 if wide else 0.1, 2) * longer
    return np.concatenate([middle + miss - side / 2, middle + miss + side / 2])


def beside_window(rng: np.random.Generator, box: Array) -> Array | None:
    """A window of the tracker's size that misses the subject, inside the scene; None where there is no room."""
    longer = float((box[2:] - box[:2]).max())
    for _ in range(8):
        side = longer * float(np.exp(rng.uniform(np.log(0.6), np.log(2.5))))
        centre = rng.uniform(-1, 1, 2) * max(0.0, 1 - side / 2)
        window = np.concatenate([centre - side / 2, centre + side / 2])
        if side >= 0.2 and share_seen(window, box) < ABSENT:
            return window
    return None


def thing_window(rng: np.random.Generator, scene: Picture, box: Array | None) -> Array | None:
    """The tracker's window around something that is not the subject: what stands out most of a few random boxes.

    A tracker that follows always has something in the middle of its window; unless it has seen chairs and balconies
    there too, it takes whatever stands there for an athlete. None where the subject leaves no room.
    """
    small = np.asarray(cv2.resize(scene, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA), np.float32)
    sums, squares = (cv2.integral(values) for values in (small, small**2))
    best, found = 0.0, None
    for _ in range(_TRIES):
        half = np.exp(rng.uniform(np.log(0.1), np.log(0.5))) * np.exp(rng.normal(0, 0.35, 2) * [1, -1])
        half = half.clip(0.05, 0.6)
        centre = rng.uniform(-1, 1, 2) * (1 - half)
        thing = np.concatenate([centre - half, centre + half])
        window = follow_window(rng, thing)
        if box is not None and share_seen(window, box) > 0.5 * ABSENT:
            continue
        contrast = _contrast(sums, squares, thing)
        if found is None or contrast > best:
            best, found = contrast, window
    return found


def _contrast(sums: Array, squares: Array, thing: Array) -> float:
    """How many standard deviations of its surroundings a box's mean colour differs from theirs."""
    half = (thing[2:] - thing[:2]) / 2
    inner, outer = (_cells(edges) for edges in (thing, thing + np.concatenate([-half, half])))
    (total, n), (most, m) = _total(sums, inner), _total(sums, outer)
    rest = max(1, m - n)
    mean = (most - total) / rest
    spread = np.sqrt(((_total(squares, outer)[0] - _total(squares, inner)[0]) / rest - mean**2).clip(0))
    return float((np.abs(total / n - mean) / (spread + 12)).mean())


def _cells(edges: Array) -> NDArray[np.int64]:
    low, high = (np.rint((part.clip(-1, 1) + 1) / 2 * _SMALL_PX).astype(int) for part in (edges[:2], edges[2:]))
    return np.concatenate([low.clip(0, _SMALL_PX - 1), np.maximum(high, low + 1).clip(1, _SMALL_PX)])


def _total(sums: Array, cells: NDArray[np.int64]) -> tuple[Array, int]:
    left, top, right, bottom = cells
    total = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return total, int((right - left) * (bottom - top))


def share_seen(window: Array, box: Array) -> float:
    """Share of the box's area in the window."""
    inner = np.minimum(window[2:], box[2:]) - np.maximum(window[:2], box[:2])
    return float(np.prod(inner.clip(0)) / np.prod(box[2:] - box[:2]))


def theta_in(window: Array, box: Array | None) -> tuple[Array, float, float]:
    """Target `theta` (4,) of a box seen in a window, clipped to it, presence 1 or 0, and whether that is certain."""
    if box is None:
        return np.zeros(4), 0.0, 1.0
    share = share_seen(window, box)
    if share < PRESENT:
        return np.zeros(4), 0.0, float(share < ABSENT)
    middle, half = (window[:2] + window[2:]) / 2, (window[2:] - window[:2]) / 2
    low, high = np.clip((box[:2] - middle) / half, -1, 1), np.clip((box[2:] - middle) / half, -1, 1)
    return np.concatenate([(high - low) / 2, (high + low) / 2]), 1.0, 1.0


def cut_window(scene: Picture, window: Array, border: int = cv2.BORDER_CONSTANT) -> Picture:
    """The window of a square scene (S, S, 3) squeezed to 128x128, averaged where it is reduced; black outside."""
    side = len(scene)
    low, high = (window[:2] + 1) / 2 * side, (window[2:] + 1) / 2 * side
    scale = STN_PX / (high - low)
    matrix = np.array([[scale[0], 0, -scale[0] * low[0]], [0, scale[1], -scale[1] * low[1]]])
    # Edge coordinates to pixel centres, on both sides.
    matrix[:, 2] += 0.5 * scale - 0.5
    if scale.min() < 0.75:
        scene = np.asarray(cv2.blur(scene, (2, 2) if scale.min() > 0.4 else (3, 3)))
    return np.asarray(cv2.warpAffine(scene, matrix, (STN_PX, STN_PX), flags=cv2.INTER_LINEAR, borderMode=border))


def turned(scene: Picture, box: Array | None, symmetry: int) -> tuple[Picture, Array | None]:
    """One of the eight symmetries of the square, applied to scene and box alike."""
    if symmetry & 4:
        scene = scene[:, ::-1]
        box = None if box is None else np.array([-box[2], box[1], -box[0], box[3]])
    for _ in range(symmetry & 3):
        scene = np.rot90(scene)  # counter-clockwise on the screen: (x, y) -> (y, -x)
        box = None if box is None else np.array([box[1], -box[2], box[3], -box[0]])
    return np.ascontiguousarray(scene), box


def trimmed(rng: np.random.Generator, scene: Picture, box: Array) -> tuple[Picture, Array]:
    """The scene without a random part of the room on each side of the subject, and the subject's box in pixels.

    In stored crops the subject is in the middle; a network must not learn that it is in the middle of whatever
    differs from its surroundings.
    """
    height, width = scene.shape[:2]
    size = np.array([width, height])
    low, high = (box[:2] + 1) / 2 * size, (box[2:] + 1) / 2 * size
    start = np.floor(low.clip(0) * rng.uniform(0, 0.95, 2)).astype(int)
    stop = np.ceil(size - (size - high).clip(0) * rng.uniform(0, 0.95, 2)).astype(int)
    part = scene[start[1] : stop[1], start[0] : stop[0]]
    return part, np.concatenate([low - start, high - start])


def inset(
    rng: np.random.Generator, scene: Picture, box: Array, canvas: Picture, side: int | None
) -> tuple[Picture, Array]:
    """A part of the scene somewhere in a background, its rim blended in, and the box in coordinates -1..1 of that.

    With `side` the result is that large and the subject, made smaller, stays large enough to be seen; without, the
    scene keeps its size.
    """
    part, box_px = trimmed(rng, scene, box)
    height, width = part.shape[:2]
    longer = float((box_px[2:] - box_px[:2]).max()) / max(height, width)
    share = float(rng.uniform(min(0.9, max(0.25, 1.4 * SMALLEST / longer)), 0.95))
    scale = 1.0
    if side is None:
        side = round(max(height, width) / share)
    else:
        scale = share * side / max(height, width)
        width, height = max(8, round(scale * width)), max(8, round(scale * height))
        part = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    out = np.asarray(cv2.resize(canvas, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8).copy()
    x, y = int(rng.integers(0, side - width + 1)), int(rng.integers(0, side - height + 1))
    # Never wider than the room between subject and rim, so that the blend does not eat the subject.
    scaled = box_px * scale
    room = float(min(scaled[:2].min(), width - scaled[2], height - scaled[3]))
    rim = max(1.0, min(0.12 * min(width, height), room)) * float(rng.uniform(0.1, 1.0))
    across, down = (np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / rim for n in (width, height))
    alpha = np.minimum.outer(down, across).clip(0, 1)[..., None]
    place = out[y : y + height, x : x + width]
    place[:] = (part * alpha + place * (1 - alpha)).astype(np.uint8)
    return out, 2 * (scaled + np.array([x, y, x, y])) / side - 1


def furnished(rng: np.random.Generator, picture: Picture) -> Picture:
    """A window with a thing of a few plain shapes in its middle, such as a table or a post."""
    side = int(rng.uniform(0.3, 0.8) * STN_PX)
    left, top = (int(v) for v in (STN_PX - side) / 2 * (1 + rng.uniform(-0.3, 0.3, 2)))
    part = picture[top : top + side, left : left + side].astype(np.float32)
    for _ in range(int(rng.integers(2, 7))):
        backgrounds.scatter(rng, part, float(rng.uniform(0.1, 0.4)) * side)
    out = picture.copy()
    out[top : top + side, left : left + side] = part.clip(0, 255)
    return out


def graphics(rng: np.random.Generator, picture: Picture) -> Picture:
    """A scoreboard's bars and letters along the upper or lower edge, as broadcasts have."""
    out = picture.copy()
    height = int(rng.uniform(0.05, 0.16) * STN_PX)
    top = 2 if rng.random() < 0.4 else STN_PX - height - 2
    left, right = sorted(int(v) for v in rng.integers(0, STN_PX, 2))
    colour, ink = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(2))
    cv2.rectangle(out, (left, top), (max(right, left + 12), top + height), colour, -1)
    text = "".join(chr(int(v)) for v in rng.integers(48, 91, 10))
    cv2.putText(out, text, (left + 1, top + height - 2), cv2.FONT_HERSHEY_SIMPLEX, height / 40, ink, 1, cv2.LINE_AA)
    return out
