"""Mass of the athlete as points that move with the 17 joints: centre of gravity, inertia, angular momentum.

Segment fractions and centres after de Leva (male, female). A long segment is two points at its centre plus and minus
1/sqrt(12) of its length (a uniform rod); trunk points are spread sideways to give it a moment about its long axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ROD: Final = 12**-0.5
_LIMBS: Final = (
    # segment, (male, female) mass, (male, female) centre from the proximal end, joint pairs
    ((0.0271, 0.0255), (0.577, 0.577), ((11, 12), (14, 15))),
    ((0.0162, 0.0138), (0.457, 0.457), ((12, 13), (15, 16))),
    ((0.1416, 0.1478), (0.410, 0.361), ((4, 5), (1, 2))),
    ((0.0433, 0.0481), (0.446, 0.446), ((5, 6), (2, 3))),
)
_HAND, _FOOT = (0.0061, 0.0056), (0.0137, 0.0129)
_HEAD, _TRUNK = (0.0694, 0.0668), (0.4346, 0.4257)
_TRUNK_CENTRE: Final = 0.43
"""From the thorax joint towards the pelvis."""
_TRUNK_SPREAD: Final = 0.28
"""Sideways offset of trunk points as a share of the distance between the shoulders (or hips)."""


@dataclass(frozen=True)
class Points:
    """`masses` [M] as shares of the body's mass (sum 1); points = `from_joints` [M, 17] @ joints."""

    masses: Array
    from_joints: Array

    def centre(self, joints_m: Array) -> Array:
        """Centre of gravity [..., 3] of joints [..., 17, 3]."""
        return np.asarray((self.masses @ self.from_joints) @ joints_m)

    def inertia(self, points_m: Array) -> Array:
        """Inertia [..., 3, 3] per unit of mass about the origin of `points_m` [..., M, 3]."""
        second = np.swapaxes(points_m * self.masses[:, None], -1, -2) @ points_m
        return np.asarray(np.trace(second, axis1=-2, axis2=-1)[..., None, None] * np.eye(3) - second)

    def angular_momentum(self, points_m: Array, velocities: Array) -> Array:
        """Angular momentum [..., 3] per unit of mass about the origin of `points_m` [..., M, 3]."""
        flux = np.swapaxes(points_m * self.masses[:, None], -1, -2) @ velocities
        parts = [
            flux[..., 1, 2] - flux[..., 2, 1],
            flux[..., 2, 0] - flux[..., 0, 2],
            flux[..., 0, 1] - flux[..., 1, 0],
        ]
        return np.stack(parts, -1)


def points(female: float = 0.0) -> Points:
    """Mass points of a body; `female` 0-1 mixes the two sets of fractions."""

    def mixed(pair: tuple[float, float]) -> float:
        return pair[0] + female * (pair[1] - pair[0])

    rows: list[tuple[float, dict[int, float]]] = []
    for mass, centre, pairs in _LIMBS:
        for upper, lower in pairs:
            for share in (mixed(centre) - _ROD, mixed(centre) + _ROD):
                rows.append((mixed(mass) / 2, {upper: 1 - share, lower: share}))
    for joint in (13, 16):
        rows.append((mixed(_HAND), {joint: 1.0}))
    for joint in (6, 3):
        rows.append((mixed(_FOOT), {joint: 1.0}))
    rows.append((mixed(_HEAD), {9: 0.4, 10: 0.6}))
    for share, left, right in ((_TRUNK_CENTRE - _ROD, 11, 14), (_TRUNK_CENTRE + _ROD, 4, 1)):
        for sign in (1.0, -1.0):
            spread = {left: sign * _TRUNK_SPREAD, right: -sign * _TRUNK_SPREAD}
            rows.append((mixed(_TRUNK) / 4, {8: 1 - share, 0: share, **spread}))
    masses = np.array([mass for mass, _ in rows])
    weights = np.zeros((len(rows), 17))
    for row, (_, joints) in enumerate(rows):
        for joint, weight in joints.items():
            weights[row, joint] = weight
    return Points(masses / masses.sum(), weights)
