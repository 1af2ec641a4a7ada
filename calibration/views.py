"""Which views of a board are worth calibrating with, and what is still to be filmed.

A calibration is as good as its views differ: the focal length shows in tilted boards, the distortion at the borders of
the picture. Of all views those are taken that are sharp and far from each other in place, size and tilt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.board import Pattern
from calibration.detection import View

Floats = NDArray[np.float64]

MIN_VIEWS: Final = 10
MAX_VIEWS: Final = 40
"""More add time and hardly anything else: they look like those there are."""
ENOUGH_VIEWS: Final = 20
TOO_BLURRED_PX: Final = 8.0
"""Edges that take longer than this from black to white put their corners anywhere within pixels."""
_ALIKE: Final = 0.06
_TILTED: Final = 0.25
"""Sine of the tilt from which a view counts as tilted: 15 degrees."""
_TILTED_VIEWS: Final = 2
_LARGE: Final = 0.3
_CELLS: Final = (
    ("upper left corner", "upper edge", "upper right corner"),
    ("left edge", "middle", "right edge"),
    ("lower left corner", "lower edge", "lower right corner"),
)
_MIN_CELLS: Final = 5


@dataclass(frozen=True, slots=True)
class Attitude:
    """How a board lies in a picture.

    `place` is the middle of what is seen, 0..1 across and down the picture; `size` the square root of the part of the
    picture it covers; `tilt` the sine of its angle to the picture plane, as a vector across and down towards the side
    that is farther away.
    """

    place: tuple[float, float]
    size: float
    tilt: tuple[float, float]


def attitude(view: View, pattern: Pattern, size_px: tuple[int, int]) -> Attitude:
    """Place, size and tilt from the shape of the board in the picture alone: no focal length is needed."""
    width, height = size_px
    corners = view.corners_img_px
    hull = cv2.convexHull(corners.astype(np.float32))
    across, down = corners.mean(axis=0) / (width, height)
    part = cv2.contourArea(hull) / (width * height)
    return Attitude((float(across), float(down)), float(np.sqrt(part)), _tilt(view, pattern))


def _tilt(view: View, pattern: Pattern) -> tuple[float, float]:
    """From the affine part of the homography, which foreshortens one direction; its sign from the perspective."""
    board = pattern.corners_mm[view.ids]
    middle = board.mean(axis=0)
    homography, _ = cv2.findHomography(board - middle, view.corners_img_px)
    if homography is None:
        return 0.0, 0.0
    homography = homography / homography[2, 2]
    affine = homography[:2, :2] - np.outer(homography[:2, 2], homography[2, :2])
    directions, (longer, shorter), _ = np.linalg.svd(affine)
    sine = float(np.sqrt(max(0.0, 1 - (shorter / longer) ** 2)))
    away = homography[2, :2] @ np.linalg.inv(affine)  # grows with depth
    direction = directions[:, 1] * (1.0 if away @ directions[:, 1] >= 0 else -1.0)
    return sine * float(direction[0]), sine * float(direction[1])


def chosen(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int], limit: int = MAX_VIEWS) -> list[View]:
    """The best of the views in the order in which they were seen: sharp, complete, and unlike each other."""
    usable = [view for view in views if view.rise_px <= TOO_BLURRED_PX]
    if not usable:
        return []
    places = np.array([_features(view, pattern, size_px) for view in usable])
    worth = _worth(usable, pattern)
    taken = [int(np.argmax(worth))]
    nearest = np.linalg.norm(places - places[taken[0]], axis=1)
    while len(taken) < min(limit, len(usable)):
        best = int(np.argmax(nearest * worth))
        if nearest[best] < _ALIKE:
            break
        taken.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
    return [usable[index] for index in sorted(taken)]


def _features(view: View, pattern: Pattern, size_px: tuple[int, int]) -> Floats:
    """Numbers that differ by about one between the views that differ most.

    The tilt enters squared: of a board that is hardly tilted its sine is mostly noise.
    """
    seen = attitude(view, pattern, size_px)
    tilt = np.array(seen.tilt)
    return np.array([*seen.place, seen.size, *(2 * float(np.linalg.norm(tilt)) * tilt)])


def _worth(views: Sequence[View], pattern: Pattern) -> Floats:
    """0..1: how sharp against the sharpest, and how much of the board is seen."""
    rise = np.array([view.rise_px for view in views])
    part = np.array([len(view.ids) for view in views]) / len(pattern.corners_mm)
    return np.asarray(rise.min() / rise * np.sqrt(part))


def to_film(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int]) -> list[str]:
    """What the views still lack, as advice to who holds the board, the most important first; empty: nothing."""
    seen = [attitude(view, pattern, size_px) for view in views]
    return [*_tilts(seen), *_sizes(seen), *_borders(views, size_px), *_more(views)]


def unusable(views: Sequence[View], pattern: Pattern, size_px: tuple[int, int]) -> list[str]:
    """The part of `to_film` without which no calibration can be trusted; empty: the views will do."""
    seen = [attitude(view, pattern, size_px) for view in views]
    borders = _borders(views, size_px) if np.count_nonzero(covered(views, size_px)) < _MIN_CELLS else []
    few = [] if len(views) >= MIN_VIEWS else [f"{MIN_VIEWS - len(views)} or more views unlike those there are"]
    return [*_tilts(seen), *borders, *few]


def covered(views: Sequence[View], size_px: tuple[int, int]) -> NDArray[np.int64]:
    """How many corners lie in each ninth of the picture (3, 3)."""
    counts = np.zeros((3, 3), dtype=np.int64)
    for view in views:
        cells = np.clip(view.corners_img_px * 3 / size_px, 0, 2).astype(int)
        np.add.at(counts, (cells[:, 1], cells[:, 0]), 1)
    return counts


def _tilts(seen: Sequence[Attitude]) -> list[str]:
    lacking = []
    for axis, words in enumerate(("left and right", "up and down")):
        if sum(abs(one.tilt[axis]) >= _TILTED for one in seen) < _TILTED_VIEWS:
            lacking.append(f"tilt the board by 30 degrees {words}")
    return lacking


def _sizes(seen: Sequence[Attitude]) -> list[str]:
    near = max((one.size for one in seen), default=0.0) >= _LARGE
    return [] if near else ["bring the board nearer, until it fills half of the picture"]


def _borders(views: Sequence[View], size_px: tuple[int, int]) -> list[str]:
    counts = covered(views, size_px)
    empty = [_CELLS[row][column] for row, column in np.argwhere(counts == 0)]
    return [f"show it in the {', the '.join(empty)} of the picture"] if empty else []


def _more(views: Sequence[View]) -> list[str]:
    return [] if len(views) >= ENOUGH_VIEWS else [f"{ENOUGH_VIEWS - len(views)} more views unlike those there are"]
