"""Joints from heat maps: the peak of each map, and left and right of a pair as two joints, not one.

Where a network cannot tell left from right both its maps have two peaks, and the higher one is often the same: decoded
alone, both joints would lie there and the body would have no width. So a pair that falls together is looked at again:
where the two maps together hold a second joint, one of the pair is there. Which one is decided for the whole body:
by the maps, by shoulders that lie as the hips do, and by limbs that are rather short than crossed.
"""

import itertools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.codecs import crop_px_of_heatmap_px
from engines.skeleton import MIRROR_PAIRS

Array = NDArray[Any]
Floats = NDArray[np.float64]

_PATCH: Final = 4
_RADIUS: Final = 3.0
_SHIFTS: Final = 4
_NEAR: Final = 4.0
"""Joints of a pair closer than this, in heat-map pixels, have perhaps fallen together."""
_ROUND: Final = 4.0
"""What lies within this of a peak belongs to it."""
_SECOND: Final = 0.25
"""Least share of the probability of both maps that makes a second peak a joint; a half: both maps have one joint in
each. Chosen on rendered crops of the training split."""
_RIGHTS, _LEFTS = (np.array(side) for side in zip(*MIRROR_PAIRS, strict=True))
_HIPS, _SHOULDERS = 0, 3
_LIMBS: Final = ((0, 1), (1, 2), (3, 4), (4, 5))
"""Pairs of `MIRROR_PAIRS` that a limb joins."""
_WAYS: Final = np.array(list(itertools.product((0, 1), repeat=len(MIRROR_PAIRS))))
"""(64, 6) which of the pairs are exchanged."""
_ALIKE: Final = 2.0
"""Log odds of shoulders that lie from right to left as the hips do, against across them."""
_LONG: Final = 3.0
"""Log odds that a limb loses for each length of the trunk."""
_LEAST: Final = 1e-4


def joints_of_heatmaps(heatmaps: Array) -> tuple[Floats, Floats]:
    """Joints (B, 17, 2) in crop pixels and confidences (B, 17) in 0..1 of the maps (B, 17, 64, 48) of bodies."""
    maps = np.asarray(heatmaps, np.float32)
    places, masses = _peaks(maps)
    together = np.linalg.norm(places[:, _RIGHTS] - places[:, _LEFTS], axis=-1) < _NEAR
    for body in np.flatnonzero(together.any(axis=1)):
        places[body], masses[body] = _parted(maps[body], places[body], masses[body], np.flatnonzero(together[body]))
    return crop_px_of_heatmap_px(places), np.clip(masses, 0.0, 1.0)


def decode_heatmaps(heatmaps: Array) -> tuple[Floats, Floats]:
    """Joints (..., 2) in crop pixels and confidences (...,) in 0..1 of probability maps (..., 64, 48), each alone.

    The largest probability, then the mean place of the probability within 3 heat-map pixels of it, re-centred
    on that mean a few times. The confidence is the probability in that window: 0.91 for a perfect map of
    HEATMAP_SIGMA.
    """
    places, masses = _peaks(np.asarray(heatmaps, dtype=np.float32))
    return crop_px_of_heatmap_px(places), np.clip(masses, 0.0, 1.0)


def _peaks(heatmaps: Array) -> tuple[Floats, Floats]:
    """Places (..., 2) in heat-map pixels and the probabilities about them (...,)."""
    height, width = heatmaps.shape[-2:]
    maps = heatmaps.reshape(-1, height, width)
    peak = maps.reshape(len(maps), -1).argmax(axis=1)
    peak_y, peak_x = np.divmod(peak, width)
    patch, offset_x, offset_y = _patches(maps, peak_x, peak_y)
    x, y, mass = _settled(patch, offset_x - peak_x[:, None], offset_y - peak_y[:, None])
    shape = heatmaps.shape[:-2]
    return np.stack([peak_x + x, peak_y + y], axis=-1).reshape(*shape, 2), mass.reshape(shape)


def _patches(maps: Array, peak_x: Array, peak_y: Array) -> tuple[Array, Array, Array]:
    """The (N, 9, 9) surroundings of each peak, zero beyond the map, with their columns and rows (N, 9)."""
    reach = np.arange(-_PATCH, _PATCH + 1)
    columns, rows = peak_x[:, None] + reach, peak_y[:, None] + reach
    valid_x, valid_y = (columns >= 0) & (columns < maps.shape[2]), (rows >= 0) & (rows < maps.shape[1])
    index = np.arange(len(maps))[:, None, None]
    patch = maps[index, (rows * valid_y)[:, :, None], (columns * valid_x)[:, None, :]].astype(np.float64)
    return patch * (valid_y[:, :, None] & valid_x[:, None, :]), columns, rows


def _settled(patch: Array, columns: Array, rows: Array) -> tuple[Array, Array, Array]:
    """Mean place (relative to the peak) and mass of the probability in a window centred on that mean."""
    cells = np.stack([columns, rows])  # (2, N, 9), as the weights are
    place = np.zeros((2, len(patch), 1))
    mass = place[0, :, 0]
    for _ in range(_SHIFTS):
        weight = np.minimum(np.maximum(_RADIUS + 0.5 - np.abs(cells - place), 0.0), 1.0)
        across, down = weight
        by_column = (down[:, None, :] @ patch)[:, 0] * across
        by_row = (patch @ across[:, :, None])[:, :, 0] * down
        mass = by_row.sum(axis=1)
        mean = (np.stack([by_column, by_row]) * cells).sum(axis=2) / np.where(mass > 0, mass, 1.0)
        place = np.minimum(np.maximum(mean, -1.0), 1.0)[:, :, None]
    return place[0, :, 0], place[1, :, 0], mass


def _parted(maps: Array, places: Floats, masses: Floats, pairs: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Places (17, 2) and masses (17,) of a body's maps (17, 64, 48), those `pairs` (P,) parted that are two joints."""
    rights, lefts = _RIGHTS[pairs], _LEFTS[pairs]
    both = maps[rights] + maps[lefts]
    first, mass = _peaks(both)
    down, across = _window(both, first, _ROUND)
    second, rest = _peaks(both * (1 - down[:, :, None] * across[:, None, :]))
    two = rest > _SECOND * (mass + rest)
    if not two.any():
        return places, masses
    places = places.copy()
    places[rights[two]], places[lefts[two]] = first[two], second[two]
    exchanged = _exchanged(maps, places)
    order = np.arange(len(places))
    order[_RIGHTS[exchanged]], order[_LEFTS[exchanged]] = _LEFTS[exchanged], _RIGHTS[exchanged]
    moved = np.union1d(np.concatenate([rights[two], lefts[two]]), np.flatnonzero(order != np.arange(len(order))))
    places, masses = places[order], masses.copy()
    masses[moved] = _mass(maps[moved], places[moved])
    return places, masses


def _exchanged(maps: Array, places: Floats) -> NDArray[np.bool_]:
    """Pairs (6,) to be exchanged, of the way that suits the whole body best."""
    right, left = places[_RIGHTS], places[_LEFTS]
    sides = maps[np.concatenate([_RIGHTS, _LEFTS])]
    own = np.log(_mass(sides, np.concatenate([right, left])) + _LEAST)
    others = np.log(_mass(sides, np.concatenate([left, right])) + _LEAST)
    as_is, other = own[: len(right)] + own[len(right) :], others[: len(right)] + others[len(right) :]
    ways = _WAYS.astype(bool)
    score = np.where(ways, other, as_is).sum(axis=1)
    across = left - right
    width = np.linalg.norm(across[[_HIPS, _SHOULDERS]], axis=1) + 2.0  # a narrow body tells little
    alike = float(across[_HIPS] @ across[_SHOULDERS]) / float(width.prod())
    score += _ALIKE * alike * np.where(ways[:, _HIPS] == ways[:, _SHOULDERS], 1.0, -1.0)
    middle = (left + right) / 2
    trunk = float(np.linalg.norm(middle[_SHOULDERS] - middle[_HIPS])) + 3.0
    for near, far in _LIMBS:
        straight = np.linalg.norm(right[far] - right[near]) + np.linalg.norm(left[far] - left[near])
        crossed = np.linalg.norm(left[far] - right[near]) + np.linalg.norm(right[far] - left[near])
        score -= _LONG / trunk * np.where(ways[:, near] == ways[:, far], straight, crossed)
    return np.asarray(ways[int(score.argmax())])


def _window(maps: Array, places: Floats, reach: float) -> tuple[Array, Array]:
    """Weights of the rows (N, 64) and columns (N, 48) within `reach` of places (N, 2), with soft edges."""
    down, across = (
        np.clip(reach + 0.5 - np.abs(np.arange(count) - places[:, axis, None]), 0.0, 1.0).astype(np.float32)
        for axis, count in ((1, maps.shape[-2]), (0, maps.shape[-1]))
    )
    return down, across


def _mass(maps: Array, places: Floats) -> Floats:
    """Probability (N,) of maps (N, 64, 48) about places (N, 2)."""
    down, across = _window(maps, places, _RADIUS)
    return np.asarray(((down[:, None, :] @ maps)[:, 0] * across).sum(axis=1), np.float64)
