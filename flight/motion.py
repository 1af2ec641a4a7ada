"""One athlete over time, as all of this package takes it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import J

Floats = NDArray[np.float64]

POSE_SD_M: Final = 0.06
"""Standard deviation, along any axis, of a measured joint about the body's place, where the decoder gives one pose and
so says nothing of its spread; a joint that was not measured has twice, one of a frame in which nobody was seen three
times that.
"""


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


def spreads(provenance: NDArray[np.integer]) -> Floats:
    """Standard deviations (...) of joints about the body's place: 0 measured, 1 completed, 2 predicted, -1 no joint."""
    return np.asarray(POSE_SD_M * (1.0 + np.maximum(provenance, 0)))


def doubts(covariance_m2: Floats, own_sd_m: Floats, pelvis_cam_m: Floats) -> Floats:
    """Relative uncertainty (T,) of lengths: deviation of the body's place where it is largest, over its distance.

    `covariance_m2` (T, 6) is that of the pelvis, xx, xy, xz, yy, yz, zz, of which `own_sd_m` (T,) is its own.
    """
    matrices = covariance_m2[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    largest = np.linalg.eigvalsh(matrices)[:, -1] - own_sd_m**2
    return np.asarray(np.sqrt(np.maximum(largest, 0.0)) / np.linalg.norm(pelvis_cam_m, axis=1))
