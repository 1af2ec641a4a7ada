"""How the trunk lies in space, frame by frame: what somersault and twist are read from."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEFT_HIP, _RIGHT_HIP, _LEFT_SHOULDER, _RIGHT_SHOULDER = 4, 1, 11, 14
_KNEES: Final = (5, 2)
_ANKLES: Final = (6, 3)
_ARCH: Final = 0.4
"""Sine of the bend that an arched body, or a measured straight one, may have to the other side."""


def unit(vectors: Floats) -> Floats:
    """`vectors` (..., 3) of length 1; NaN where they have none."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, np.nan))


def up_of(joints_m: Floats) -> Floats:
    """(..., 3) from the middle of the hips to the middle of the shoulders, in the unit of `joints_m` (..., 17, 3)."""
    hips = joints_m[..., _LEFT_HIP, :] + joints_m[..., _RIGHT_HIP, :]
    return np.asarray((joints_m[..., _LEFT_SHOULDER, :] + joints_m[..., _RIGHT_SHOULDER, :] - hips) / 2)


def left_of(joints_m: Floats) -> Floats:
    """(..., 3) from right to left, hips and shoulders together; right and left as the joints are named."""
    hips = joints_m[..., _LEFT_HIP, :] - joints_m[..., _RIGHT_HIP, :]
    return np.asarray(hips + joints_m[..., _LEFT_SHOULDER, :] - joints_m[..., _RIGHT_SHOULDER, :])


def body_axes(joints_m: Floats) -> Floats:
    """World from body (..., 3, 3) of joints (..., 17, 3): columns to the left, to the back and up along the trunk."""
    up = unit(up_of(joints_m))
    left = left_of(joints_m)
    left = unit(left - np.sum(left * up, -1, keepdims=True) * up)
    return np.stack([left, np.cross(up, left), up], -1)


def hinge_left_of(joints_m: Floats) -> Floats:
    """(..., 3) to the left as hips and knees tell it, which bend one way only: whatever the sides are named.

    Its length is 0 for a body that is straight or arched, which bends as far the other way, and at most 1.
    """
    up = unit(up_of(joints_m))
    hips = (joints_m[..., _LEFT_HIP, :] + joints_m[..., _RIGHT_HIP, :]) / 2
    knees, ankles = joints_m[..., _KNEES, :].mean(-2), joints_m[..., _ANKLES, :].mean(-2)
    thigh, shank = unit(knees - hips), unit(ankles - knees)
    left = np.cross(up, thigh) + 0.5 * np.cross(thigh, shank)
    size = np.linalg.norm(left, axis=-1, keepdims=True)
    return np.asarray(left / np.maximum(size, _ARCH) * np.clip((size - _ARCH) / (1 - _ARCH), 0, 1))


def mirrored(vectors: Floats, view: Floats) -> Floats:
    """`vectors` (..., 3) with front and back exchanged along the unit vectors `view` (..., 3)."""
    return np.asarray(vectors - 2 * np.sum(vectors * view, -1, keepdims=True) * view)
