"""One athlete over time, as all of this package takes it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import PELVIS, J

Floats = NDArray[np.float64]

_DIAGONAL: Final = [0, 3, 5]
_LEAST_M2: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Motion:
    """T frames, oldest first, in world axes: metres, z up; of a dive x along the board over the water, y to the left of
    a diver who looks along x. Raises ValueError when the shapes do not agree or time does not go forward.
    """

    t_s: Floats
    """(T,) media time of each frame, increasing; steps may be uneven."""
    joints_world_m: Floats
    """(T, 17, 3); NaN where nothing is known."""
    joints_sd_m: Floats
    """(T, 17) standard deviation of a joint along any axis, relative to the pelvis."""

    def __post_init__(self) -> None:
        frames = len(self.t_s)
        if self.joints_world_m.shape != (frames, J, 3) or self.joints_sd_m.shape != (frames, J):
            raise ValueError(
                f"expected joints ({frames}, {J}, 3) and deviations ({frames}, {J}); "
                f"got {self.joints_world_m.shape} and {self.joints_sd_m.shape}"
            )
        if frames > 1 and not (np.diff(self.t_s) > 0).all():
            raise ValueError("expected times that increase from frame to frame")

    def __len__(self) -> int:
        return len(self.t_s)

    def part(self, first: int, last: int) -> "Motion":
        """Frames `first` to `last`, the latter included."""
        rows = slice(first, last + 1)
        return Motion(self.t_s[rows], self.joints_world_m[rows], self.joints_sd_m[rows])


def spreads(covariance_m2: Floats) -> Floats:
    """Standard deviations (T, 17) of joints about the pelvis from covariances (T, 17, 6): xx, xy, xz, yy, yz, zz.

    A joint has the covariance of the pelvis and, on the diagonal, its own about that; the pelvis is as good as others.
    """
    diagonal = covariance_m2[..., _DIAGONAL]
    own = (diagonal - diagonal[:, PELVIS : PELVIS + 1]).mean(axis=2)
    least = np.partition(own, 1, axis=1)[:, 1:2]
    return np.asarray(np.sqrt(np.maximum(np.maximum(own, least), _LEAST_M2)))


def doubts(pelvis_covariance_m2: Floats, pelvis_cam_m: Floats) -> Floats:
    """Relative uncertainty (T,) of lengths: deviation of the pelvis (T, 6) where it is largest over its distance."""
    matrices = pelvis_covariance_m2[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    largest = np.linalg.eigvalsh(matrices)[:, -1]
    return np.asarray(np.sqrt(np.maximum(largest, 0.0)) / np.linalg.norm(pelvis_cam_m, axis=1))
