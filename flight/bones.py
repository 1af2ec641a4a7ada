"""The athlete's bones have constant lengths: learned from many poses, then given to each of them.

A network's bones grow and shrink from frame to frame. Directions are kept, lengths become the running median, left and
right the same.
"""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import BONES, MIRROR, PARENTS, J

Floats = NDArray[np.float64]

KEPT: Final = 400
"""Poses that are remembered: eight seconds at 50 a second."""
ENOUGH: Final = 10
_PARENT: Final = np.array([parent for parent, _ in BONES])
_JOINT: Final = np.array([joint for _, joint in BONES])


def _order() -> tuple[tuple[int, ...], ...]:
    """Joints by their distance from the pelvis along the skeleton: a parent is placed before its children."""
    depth = [0] * J
    for joint, parent in enumerate(PARENTS):
        depth[joint] = depth[parent] + 1 if parent >= 0 else 0
    return tuple(tuple(j for j in range(J) if depth[j] == level) for level in range(1, max(depth) + 1))


_LEVELS: Final = tuple((np.array(level), np.array([PARENTS[j] for j in level])) for level in _order())


class Bones:
    """The bone lengths of one athlete, in the metres of the poses they come from."""

    def __init__(self) -> None:
        self._lengths: deque[Floats] = deque(maxlen=KEPT)
        self._median: Floats | None = None
        self._stale = 0

    def learn(self, joints_m: Floats) -> None:
        """Take in a pose (17, 3) that was measured well."""
        lengths = np.zeros(J)
        lengths[_JOINT] = np.linalg.norm(joints_m[_JOINT] - joints_m[_PARENT], axis=1)
        if np.isfinite(lengths).all():
            self._lengths.append(lengths)
            self._stale += 1

    @property
    def lengths_m(self) -> Floats | None:
        """(17,) length of the bone that ends at each joint, 0 at the pelvis; None before enough poses were learned."""
        if len(self._lengths) < ENOUGH:
            return None
        if self._median is None or self._stale >= ENOUGH:
            median = np.median(np.array(self._lengths), axis=0)
            self._median = (median + median[list(MIRROR)]) / 2
            self._stale = 0
        return self._median

    def applied(self, joints_m: Floats) -> Floats:
        """The pose (17, 3) with the athlete's lengths, its pelvis where it was; itself before they are known."""
        lengths = self.lengths_m
        if lengths is None:
            return joints_m
        placed = np.array(joints_m, np.float64)
        for joints, parents in _LEVELS:
            bone = joints_m[joints] - joints_m[parents]
            size = np.linalg.norm(bone, axis=1)
            factor = np.divide(lengths[joints], size, out=np.ones_like(size), where=size > 0)
            placed[joints] = placed[parents] + bone * factor[:, None]
        return placed
