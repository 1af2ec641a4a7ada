"""Two cameras that saw the same points: where the second stands from the first, up to the length of the way between.

All points are directions on the plane Z = 1 (`Camera.normalised`), so the essential matrix E = [t]x R holds:
x2^T E x1 = 0. Errors are measured as Sampson's distance, to first order that of a point from where E allows it.
"""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.resection import cross

Floats = NDArray[np.float64]

_RANSAC_SIGMAS: Final = 3.0
_RANSAC_TRUST: Final = 0.999
_REWEIGHTED: Final = 8


def starts(first: Floats, second: Floats, sd: float, turn: Floats | None = None) -> Iterator[Floats]:
    """Poses (4, 4) of the second camera's axes from the first's that points (N, 2) of both allow, t of length 1.

    One from the essential matrix, and where a rotation (3, 3) is known roughly, one from that.
    """
    essential, inside = cv2.findEssentialMat(
        first, second, np.eye(3), method=cv2.RANSAC, prob=_RANSAC_TRUST, threshold=_RANSAC_SIGMAS * sd
    )
    if essential is not None and essential.shape == (3, 3):
        _, rotation, shift, _ = cv2.recoverPose(essential, first, second, np.eye(3), mask=inside)
        yield _pose(np.asarray(rotation, np.float64), np.ravel(shift))
    if turn is not None:
        yield _pose(turn, shift_of(turn, first, second, sd))


def _pose(rotation: Floats, shift: Floats) -> Floats:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, shift / np.linalg.norm(shift)
    return pose


def shift_of(turn: Floats, first: Floats, second: Floats, sd: float) -> Floats:
    """The direction (3,) from one camera's centre to the other that fits points (N, 2) best where the rotation is
    known: t is across (R x1) x x2 for every point."""
    turned = _rays(first) @ turn.T
    normal = np.cross(turned, _rays(second))
    weight = np.ones(len(normal))
    for _ in range(_REWEIGHTED):
        _, vectors = np.linalg.eigh((normal * weight[:, None]).T @ normal)
        shift = vectors[:, 0]
        off = np.abs(normal @ shift) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
        weight = 1 / (1 + (off / (_RANSAC_SIGMAS * sd)) ** 2) / np.maximum((normal**2).sum(axis=1), 1e-12)
    ahead = triangulated(_pose(turn, shift), first, second)[:, 2]
    return np.asarray(shift if np.count_nonzero(ahead > 0) * 2 >= len(ahead) else -shift)


def rotation_between(first_m: Floats, second_m: Floats) -> Floats:
    """Rotation (3, 3) that takes vectors (N, 3) to others best (Kabsch)."""
    u, _, vt = np.linalg.svd(second_m.T @ first_m)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def only_turned(first: Floats, second: Floats) -> float:
    """How far off (median, rad) points (N, 2) of a camera are from another's, turned as fits best: what is left shows
    that they stand apart. NaN points are passed over."""
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    one, other = (_rays(flat[known]) for flat in (first, second))
    one, other = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (one, other))
    weight = np.ones(len(one))
    for _ in range(_REWEIGHTED):
        turn = rotation_between(one * weight[:, None], other)
        off = np.linalg.norm(other - one @ turn.T, axis=1)
        weight = 1 / (1 + (off / max(2 * float(np.median(off)), 1e-12)) ** 2)
    return float(np.median(off))


def sampson(pose: Floats, first: Floats, second: Floats) -> Floats:
    """Distances (N,) of points from the nearest pair that the pose (4, 4) allows, on the plane Z = 1."""
    essential = cross(pose[:3, 3]) @ pose[:3, :3]
    there, back = _rays(first) @ essential.T, _rays(second) @ essential
    off = (_rays(second) * there).sum(axis=1)
    return np.asarray(np.abs(off) / np.sqrt((there[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1) + 1e-18))


def triangulated(pose: Floats, first: Floats, second: Floats) -> Floats:
    """Points (N, 3) in axes of the first camera, nearest to both rays."""
    back = np.linalg.inv(pose)
    a, b = _rays(first), _rays(second) @ back[:3, :3].T
    base = back[:3, 3]
    aa, bb, ab = (a * a).sum(axis=1), (b * b).sum(axis=1), (a * b).sum(axis=1)
    gap = np.maximum(aa * bb - ab * ab, 1e-12)
    along = (bb * (a @ base) - ab * (b @ base)) / gap
    beside = (ab * (a @ base) - aa * (b @ base)) / gap
    return np.asarray((a * along[:, None] + base + b * beside[:, None]) / 2)


def _rays(flat: Floats) -> Floats:
    return np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
