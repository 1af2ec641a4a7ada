"""Where the athlete is: the body's size in the picture says it roughly, the fall says it well.

A relative pose and its joints in the picture give the pelvis (`calibration.root`), but only as far away as the decoder
believes a body to be large. A fall knows its distance from the bend of its path, to about a percent. So while a body
flies, the two are fused by inverse variance, and what the fall says of the body's size is kept for when it stands.
Live, the fall grows with every frame; when it is over it is fitted once more, whole.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.root import Root, root_from_joints
from engines.skeleton import PELVIS
from flight.bones import Bones
from flight.falls import Falls, Flown, steady_line
from flight.history import History
from flight.report import Phase
from flight.sighting import CENTRE, across, sighting
from flight.standpoint import Standpoint

Floats = NDArray[np.float64]

ENTRY_S: Final = 0.3
"""From the first touch of the water until it has the whole body: at 9 m/s and 2.4 m of body."""
_NEAR_S: Final = 0.3
_BESIDE_S: Final = 1.2
_ANYWHERE: Final = 10.0
"""Relative deviation of a depth of which nothing is known."""
_STANDS_M: Final = 0.03
_STROLL_M_S: Final = 0.35
"""How far off an athlete may be so long before the take-off from where it is: a last step, a bending of the knees."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A pose in space. `joints_world_m` (17, 3) with the athlete's own size and constant bones; `root_cam_m` (3,);
    `root_covariance_m2` (3, 3) of the pelvis in world axes."""

    joints_world_m: Floats
    root_cam_m: Floats
    root_covariance_m2: Floats


class Placing:
    """Places the poses of one athlete before one resting camera.

    `observe` every frame once, in order, as soon as it is known; `place` any frame's pose as often as it is revised.
    """

    def __init__(self, standpoint: Standpoint, flies: bool = True) -> None:
        """`flies` false: an athlete who never leaves the ground, whom no fall helps to place."""
        self._standpoint = standpoint
        self._flies = flies
        self._history = History()
        self._bones = Bones()
        self._falls = Falls(standpoint, self._history)

    def root(self, joints_root_m: Floats, joints_img_px: Floats, confidence: Floats) -> Root | None:
        """The pelvis of a pose (17, 3) in camera axes from its joints (17, 2) in the picture with confidences (17,), at
        the decoder's size of body; for the calls below."""
        return root_from_joints(joints_root_m, joints_img_px, confidence, self._standpoint.camera)

    def observe(self, seq: int, t_s: float, joints_root_m: Floats | None, root: Root | None) -> None:
        """Take in a frame, or again one of the last with a better pose. Without pose or root nobody was seen."""
        newer = t_s > self._history.newest_s
        if joints_root_m is None or root is None:
            self._history.put(seq, t_s, None)
        else:
            self._history.put(seq, t_s, sighting(root, joints_root_m))
            self._bones.learn(joints_root_m)
        if self._flies and newer:
            self._falls.follow(t_s)

    def place(self, t_s: float, joints_root_m: Floats, root: Root | None) -> Placed | None:
        """The pose in space; None when neither the picture nor a fall says where."""
        pose = self._falls.size * self._bones.applied(joints_root_m - joints_root_m[PELVIS])
        by_fall = self._by_fall(t_s, pose)
        if root is None:
            found = by_fall
        elif by_fall is None:
            found = self._by_size(t_s, root, pose)
        else:
            found = _fused([_along(root, by_fall[0]), by_fall])
        if found is None:
            return None
        root_cam_m, covariance = found
        turn = self._standpoint.world_from_cam[:3, :3]
        joints_world_m = self._standpoint.to_world(root_cam_m + pose)
        return Placed(joints_world_m, root_cam_m, turn @ covariance @ turn.T)

    def phase(self, t_s: float, seen: bool) -> tuple[Phase, float]:
        """What the athlete does at a time, and how surely, 0 to 1. `seen`: whether somebody is there at all."""
        flown = self._falls.now if self._falls.now is not None else self.flown[-1] if self.flown else None
        before = [fall for fall in self.flown if fall.take_off_s <= t_s]
        if self._falls.now is not None and self._falls.now.take_off_s <= t_s:
            return "flight", _sureness(self._falls.now.gain)
        if before:
            last = before[-1]
            sure = _sureness(last.gain)
            if last.covers(t_s):
                return "flight", sure
            return ("entry", sure) if t_s <= last.entry_s + ENTRY_S else ("water", sure)
        if not seen:
            return "idle", 1.0
        return "board", 1.0 if flown is not None else 1.0 - _sureness(0.0)

    @property
    def size(self) -> tuple[float, float]:
        """How large the athlete is beside what the decoder believes, and the standard deviation of that."""
        return self._falls.size, self._falls.size_sd

    @property
    def flown(self) -> list[Flown]:
        """Falls that are over, oldest first."""
        return self._falls.flown

    def fall_at(self, t_s: float) -> Flown | None:
        """The fall that covers a time."""
        return self._falls.at(t_s)

    def settle(self) -> Flown | None:
        """The newest fall fitted once more from all that is known of it by now; None where there was none."""
        return self._falls.settle()

    def _by_size(self, t_s: float, root: Root, pose_m: Floats) -> tuple[Floats, Floats]:
        """Root (3,) and covariance from the joints in the picture, its depth shared with the frames about it, and just
        before and after a fall with that."""
        ray = root.root_cam_m / root.root_cam_m[2]
        depth, sd = self._depth_near(t_s, root)
        sd = depth * float(np.hypot(sd, self._falls.size_sd / self._falls.size))
        beside = self._beside_fall(t_s, ray, pose_m)
        if beside is not None:
            own, other = sd**-2, beside[1] ** -2
            depth, sd = (own * depth + other * beside[0]) / (own + other), (own + other) ** -0.5
        covariance = np.outer(ray, ray) * sd**2
        covariance[:2, :2] += depth**2 * across(root)
        return depth * ray, covariance

    def _beside_fall(self, t_s: float, ray: Floats, pose_m: Floats) -> tuple[float, float] | None:
        """Depth of the pelvis along its ray, and its deviation, by the end of the fall that is nearest: nobody goes far
        in the moment before a take-off."""
        flown = min(self.flown, key=lambda fall: abs(t_s - fall.take_off_s), default=None)
        if flown is None or flown.covers(t_s):
            return None
        end_s = flown.take_off_s if t_s < flown.take_off_s else flown.entry_s
        apart_s = abs(t_s - end_s)
        if apart_s > _BESIDE_S:
            return None
        down = self._standpoint.down_cam
        place = flown.fall.at(np.array([end_s]))[0]
        level, flat_ray = place - (place @ down) * down, ray - (ray @ down) * down
        along = flat_ray / np.linalg.norm(flat_ray)
        distance = float(np.linalg.norm(level)) - float(CENTRE @ pose_m @ along)
        sd = np.hypot(flown.fall.depth_sd * np.linalg.norm(level), _STANDS_M + _STROLL_M_S * apart_s)
        steep = float(np.linalg.norm(flat_ray))
        return distance / steep, float(sd) / steep

    def _depth_near(self, t_s: float, root: Root) -> tuple[float, float]:
        """Depth of the pelvis and its relative deviation: what this frame says, steadied by those about it."""
        rows = self._history.between(t_s - _NEAR_S, t_s + _NEAR_S)
        known = np.isfinite(rows.depth_m)
        own_sd = float(np.sqrt(root.covariance_m2[2, 2])) / root.root_cam_m[2]
        if np.count_nonzero(known) < 5:
            return self._falls.size * float(root.root_cam_m[2]), own_sd
        sd = rows.depth_sd[known] * rows.depth_m[known]
        line = steady_line(rows.t_s[known] - t_s, rows.depth_m[known], sd)
        relative = float(np.median(rows.depth_sd[known])) / np.sqrt(np.count_nonzero(known) / 4)
        return self._falls.size * line[1], relative

    def _by_fall(self, t_s: float, pose_m: Floats) -> tuple[Floats, Floats] | None:
        """Root (3,) and covariance from the fall that covers this time: the centre of gravity less the pose's own."""
        flown = self.fall_at(t_s)
        if flown is None:
            return None
        at = np.array([t_s])
        centre = CENTRE @ pose_m
        covariance = flown.fall.covariance_at(at)[0]
        return flown.fall.at(at)[0] - centre, covariance + np.eye(3) * (0.03**2 + (0.1 * centre) ** 2)


def _along(root: Root, place_m: Floats) -> tuple[Floats, Floats]:
    """The root's ray as a guess of where it is, at the depth of a place; of the depth it says nothing: the size of the
    body has told the fall already."""
    ray = root.root_cam_m / root.root_cam_m[2]
    covariance = np.outer(ray, ray) * (_ANYWHERE * place_m[2]) ** 2
    covariance[:2, :2] += place_m[2] ** 2 * across(root)
    return ray * place_m[2], covariance


def _fused(guesses: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Several guesses of a point with covariances as one, by inverse variance."""
    information = [np.linalg.inv(covariance + 1e-8 * np.eye(3)) for _, covariance in guesses]
    covariance = np.linalg.inv(sum(information[1:], information[0]))
    pulls = [weight @ point for weight, (point, _) in zip(information, guesses, strict=True)]
    return np.asarray(covariance @ sum(pulls[1:], pulls[0])), covariance


def _sureness(gain: float) -> float:
    """Of a stretch's gain, 0 to 1: a half where it is just enough to be taken for a fall."""
    return float(1 / (1 + np.exp(1 - gain / 25.0)))
