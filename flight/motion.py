"""One athlete over time, as all of this package takes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import J

Floats = NDArray[np.float64]


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
