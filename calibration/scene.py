"""What a bundle adjustment over a moving body looks for, and what is known of the body beforehand."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRAVITY_M_S2: Final = 9.81
CAMERA_UNKNOWNS: Final = 7


@dataclass(frozen=True, slots=True)
class Body:
    """What is known of whoever is seen: `centre` (J,) weights of the joints whose sum is the centre of gravity, and
    `bones` (B, 2) pairs of joints that stay equally far apart."""

    centre: Floats
    bones: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is unknown, metres, in axes of the first camera.

    `poses` (C, 4, 4) of the cameras from the first one's axes; `offsets_s` (C,), which a camera's clock shows more than
    the first one's; `down` (3,); `falls` (N, 2, 3) place and velocity of the centre of gravity at the middle of each
    flight; `lengths_m` (N, B) of bones, for each flight's athlete; `points` (T, J, 3).
    """

    poses: Floats
    offsets_s: Floats
    down: Floats
    falls: Floats
    lengths_m: Floats
    points: Floats

    def moved(self, step: Floats, points: Floats) -> "Scene":
        """After a step of all but the points, in the order above; cameras turn, move and shift their clocks."""
        poses, offsets = self.poses.copy(), self.offsets_s.copy()
        cameras = CAMERA_UNKNOWNS * (len(poses) - 1)
        for k, part in enumerate(step[:cameras].reshape(-1, CAMERA_UNKNOWNS), 1):
            poses[k, :3, :3] = cv2.Rodrigues(part[:3])[0] @ poses[k, :3, :3]
            poses[k, :3, 3] += part[3:6]
            offsets[k] += part[6]
        down = self.down + step[cameras : cameras + 2] @ across(self.down)
        rest = step[cameras + 2 :]
        falls = self.falls + rest[: self.falls.size].reshape(self.falls.shape)
        lengths = self.lengths_m + rest[self.falls.size :].reshape(self.lengths_m.shape)
        return Scene(poses, offsets, down / np.linalg.norm(down), falls, lengths, points)


@dataclass(frozen=True, slots=True)
class Moments:
    """When the body is looked at: `t_s` (T,) of the first camera's clock; `flight` (T,) the flight each belongs to, and
    `since_s` (T,) the time since its middle, NaN where the body does not fall or too little of it is seen; `seen`
    (T, J) the joints that two cameras have seen; the others stay about where they begin."""

    t_s: Floats
    flight: NDArray[np.int64]
    since_s: Floats
    seen: NDArray[np.bool_]


def across(down: Floats) -> Floats:
    """Two unit vectors (2, 3) across the vertical and each other."""
    helper = np.eye(3)[int(np.argmin(np.abs(down)))]
    one = np.cross(down, helper)
    one /= np.linalg.norm(one)
    return np.stack([one, np.cross(down, one)])
