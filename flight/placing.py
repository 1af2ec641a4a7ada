"""Where the athlete is: the body's size in the picture says it roughly, the fall says it well.

A relative pose and its joints in the picture give the pelvis (`calibration.root`), but only as far away as the decoder
believes a body to be large. A fall knows its distance from the bend of its path, to about a percent. So while a body
flies, the two are fused by inverse variance, and what the fall says of the body's size is kept for when it stands.
Live, the fall grows with every frame; when it is over it is fitted once more, whole.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.root import Root, root_from_joints
from engines.skeleton import PELVIS
from flight import mass
from flight.bones import Bones
from flight.contact import CENTRE_OFF_M
from flight.fall import Fall, fitted_fall, honest
from flight.history import History, Rows, Sighting
from flight.phases import Moment, agreeing, departure, falling
from flight.report import Phase
from flight.standpoint import Standpoint

Floats = NDArray[np.float64]

SIZE_SD: Final = 0.07
"""By how much bodies differ in size from what the decoder has learned: adults' statures by 5 %, the rest is its own."""
LOOK_BACK_S: Final = 1.6
"""Live, a take-off is sought among the frames of so long."""
WHOLE_S: Final = 3.2
ENTRY_S: Final = 0.3
"""From the first touch of the water until it has the whole body: at 9 m/s and 2.4 m of body."""
_NEAR_S: Final = 0.3
_BESIDE_S: Final = 1.2
_ANYWHERE: Final = 10.0
"""Relative deviation of a depth of which nothing is known."""
_STANDS_M: Final = 0.03
_STROLL_M_S: Final = 0.35
"""How far off an athlete may be so long before the take-off from where it is: a last step, a bending of the knees."""
_FLAT_FLOOR: Final = 0.01
"""Least deviation of the centre's direction, in heights of a body in the picture: the segments' masses are averages."""
_LOST_SIGMAS: Final = 5.0
_LOST_FRAMES: Final = 3
_SURE_S: Final = 0.4
"""Live, a fall is believed when it lasts so long already."""
_SHORTEST_S: Final = 0.42
"""A crouch on a springboard that gives way falls freely for almost as long; a shorter jump is 20 cm high."""
OFF_EDGE_M: Final = np.array([0.12, 0.0, CENTRE_OFF_M])
OFF_EDGE_SD_M: Final = np.array([0.25, 0.25, 0.2])
"""Centre of gravity in the world at the take-off from a board whose edge is the origin: a hand's breadth over the
water, in the middle, at half a stretched body's height."""
_ROUGHLY_S: Final = 0.06
"""What the ends of a stretch are off by before the departure from the parabola is sought."""
_REFITS: Final = 4
_REFIT_SHARE: Final = 0.08
"""A fall that grows is fitted again when it has become so much longer: a frame more of many changes little."""
_FAR_SIGMAS: Final = 3.5
"""A fall farther from where the body's size puts it is none: something else bends as a fall would."""
_SCALES_UNSURE: Final = (0.88, 1.0, 1.13)
_MASSES: Final = mass.points(0.5)
_CENTRE: Final = _MASSES.masses @ _MASSES.from_joints
"""(17,) weights of the joints whose sum is the centre of gravity, midway between man and woman."""


@dataclass(frozen=True, slots=True, eq=False)
class Flown:
    """One fall of the athlete: its ends (the last at infinity while it lasts), and how surely it is one (`gain`)."""

    off: Moment
    entry: Moment
    fall: Fall
    gain: float

    @property
    def take_off_s(self) -> float:
        """When it began."""
        return self.off.t_s

    @property
    def entry_s(self) -> float:
        """When it ended; infinity while it lasts."""
        return self.entry.t_s

    def covers(self, t_s: float) -> bool:
        """Whether the body falls at this time."""
        return self.take_off_s <= t_s <= self.entry_s


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
        self._size, self._size_sd = 1.0, SIZE_SD
        self._now: Flown | None = None
        self._frames = 0
        self._fitted_s = -np.inf
        self.flown: list[Flown] = []
        """Falls that are over, oldest first."""

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
            self._follow(t_s)

    def place(self, t_s: float, joints_root_m: Floats, root: Root | None) -> Placed | None:
        """The pose in space; None when neither the picture nor a fall says where."""
        pose = self._size * self._bones.applied(joints_root_m - joints_root_m[PELVIS])
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
        flown = self._now if self._now is not None else self.flown[-1] if self.flown else None
        before = [fall for fall in self.flown if fall.take_off_s <= t_s]
        if self._now is not None and self._now.take_off_s <= t_s:
            return "flight", _sureness(self._now.gain)
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
        return self._size, self._size_sd

    def fall_at(self, t_s: float) -> Flown | None:
        """The fall that covers a time."""
        for flown in (self._now, *reversed(self.flown)):
            if flown is not None and flown.covers(t_s):
                return flown
        return None

    def settle(self) -> Flown | None:
        """The newest fall fitted once more from all that is known of it by now; None where there was none."""
        if self._now is not None:
            self._finish(self._history.newest_s)
        if not self.flown:
            return None
        last = self.flown.pop()
        rows = self._history.between(last.take_off_s - WHOLE_S / 2, last.entry_s + WHOLE_S / 2)
        whole = self._whole(rows)
        again = whole is not None and whole.covers((last.take_off_s + last.entry_s) / 2)
        self._add(whole if whole is not None and again else last, rows)
        return self.flown[-1] if self.flown else None

    # What follows a fall while it lasts.

    def _follow(self, t_s: float) -> None:
        self._frames += 1
        if self._now is None:
            if self._frames % 2 == 0:
                self._now = self._beginning(t_s)
            return
        rows = self._history.between(self._now.take_off_s, t_s)
        if self._left(self._now, rows):
            self._finish(float(rows.t_s[-1 - _LOST_FRAMES]))
            return
        self._now = replace(self._now, gain=self._now.gain + 1.0)
        if t_s - self._fitted_s >= _REFIT_SHARE * (t_s - self._now.take_off_s):
            fall = self._fitted(rows, self._now.take_off_s, t_s, self._now.fall)
            self._now = self._now if fall is None else replace(self._now, fall=fall)
            self._fitted_s = t_s

    def _beginning(self, t_s: float) -> Flown | None:
        """The fall that the newest frames belong to."""
        rows = self._history.between(t_s - LOOK_BACK_S, t_s)
        if self.flown:
            rows = Rows(rows.table[rows.t_s > self.flown[-1].entry_s])
        if len(rows.t_s) < 6:
            return None
        heights = self._heights(rows)
        stretch = None if heights is None else falling(rows.t_s, *heights, scales=self._scales(), least_s=_SURE_S)
        if stretch is None or stretch.last < len(rows.t_s) - _LOST_FRAMES:
            return None
        take_off_s = float(rows.t_s[stretch.first])
        fall = self._fitted(rows, take_off_s + 0.25 * (t_s - take_off_s), t_s)
        if fall is None:
            return None
        return Flown(Moment(take_off_s, _ROUGHLY_S), Moment(np.inf, _ROUGHLY_S), fall, stretch.gain)

    def _left(self, flown: Flown, rows: Rows) -> bool:
        """Whether the last frames lie off the parabola, or nobody was seen in them."""
        if len(rows.t_s) <= _LOST_FRAMES + 3:
            return False
        last = rows.table[-_LOST_FRAMES:]
        place = flown.fall.at(last[:, 0])
        spread = flown.fall.covariance_at(last[:, 0])
        miss = np.linalg.norm(place[:, :2] / place[:, 2:] - last[:, 1:3], axis=1)
        sd = np.sqrt((last[:, 3] * flown.fall.noise) ** 2 + spread[:, 1, 1] / place[:, 2] ** 2)
        unseen = np.isnan(miss)
        if unseen.all():
            return bool(len(rows.t_s) > 12 and np.isnan(rows.table[-12:, 1]).all())
        return bool((miss > _LOST_SIGMAS * sd).all())

    def _finish(self, entry_s: float) -> None:
        """The fall is over, if it was one: taken as a whole, a crouch that began like it is none."""
        assert self._now is not None
        over = replace(self._now, entry=Moment(entry_s, _ROUGHLY_S))
        self._now = None
        rows = self._history.between(over.take_off_s - WHOLE_S / 2, self._history.newest_s)
        whole = self._whole(rows)
        if whole is not None and whole.covers((over.take_off_s + entry_s) / 2):
            self._add(whole, rows)

    def _add(self, flown: Flown, rows: Rows) -> None:
        """Keep a fall, and of those that overlap the surest."""
        apart = [fall for fall in self.flown if fall.entry_s < flown.take_off_s or fall.take_off_s > flown.entry_s]
        rivals = [fall for fall in self.flown if fall not in apart and fall.gain > flown.gain]
        if not rivals:
            self.flown = [*apart, flown]
            self._learn_size(flown, rows)

    def _whole(self, rows: Rows) -> Flown | None:
        """The surest fall among these frames, with its ends where the body comes onto the parabola and leaves it."""
        heights = self._heights(rows)
        stretch = None if heights is None else falling(rows.t_s, *heights, scales=self._scales())
        if stretch is None:
            return None
        first_s, last_s = float(rows.t_s[stretch.first]), float(rows.t_s[stretch.last])
        inner = 0.15 * (last_s - first_s)
        fall = self._fitted(rows, first_s + inner, last_s - inner)
        if fall is None:
            return None
        ends = Moment(first_s, _ROUGHLY_S), Moment(last_s, _ROUGHLY_S)
        flown: Flown | None = Flown(*ends, fall, stretch.gain)
        for _ in range(_REFITS):
            flown = None if flown is None else self._better_ends(flown, rows)
        return flown

    def _better_ends(self, flown: Flown, rows: Rows) -> Flown | None:
        """The same fall from where the body comes onto its parabola to where it leaves it."""
        above, sd = self._above(flown.fall, rows)
        ends = agreeing(above, sd)
        if ends is None:
            return None
        off = departure(rows.t_s, above, sd, float(rows.t_s[ends[0]]), before=True)
        entry = departure(rows.t_s, above, sd, float(rows.t_s[ends[1]]), before=False)
        if off is None or entry is None or entry.t_s - off.t_s < _SHORTEST_S:
            return None
        fall = self._fitted(rows, off.t_s, entry.t_s, flown.fall)
        return None if fall is None else Flown(off, entry, fall, flown.gain)

    def _fitted(self, rows: Rows, first_s: float, last_s: float, begin: Fall | None = None) -> Fall | None:
        """The fall between two times, which is to lie where the size of the body allows it."""
        inside = Rows(rows.table[(rows.t_s >= first_s) & (rows.t_s <= last_s)])
        known = np.isfinite(inside.depth_m)
        if not known.any():
            return None
        depth = self._size * float(np.median(inside.depth_m[known]))
        sd = depth * self._size_sd / self._size
        seen = inside.seen(((float(inside.t_s[known].mean()), depth, sd), *self._at_edge(first_s)))
        fall = fitted_fall(seen, self._standpoint.down_cam, begin=begin)
        if fall is not None:
            noise = honest(seen, fall)
            again = fitted_fall(replace(seen, sd=seen.sd * noise), self._standpoint.down_cam, begin=fall)
            fall = None if again is None else replace(again, noise=noise)
        if fall is None or abs(float(np.median(fall.at(inside.t_s)[:, 2])) - depth) > _FAR_SIGMAS * sd:
            return None
        return fall

    def _at_edge(self, take_off_s: float) -> tuple[tuple[float, float, float], ...]:
        """Where a board is known falls begin at its edge: the depth of the centre of gravity there."""
        if self._standpoint.board is None:
            return ()
        turn, place = self._standpoint.world_from_cam[:3, :3], self._standpoint.world_from_cam[:3, 3]
        ahead = turn[:, 2]
        sd = float(np.linalg.norm(ahead * OFF_EDGE_SD_M))
        return ((take_off_s, float((OFF_EDGE_M - place) @ ahead), sd),)

    def _heights(self, rows: Rows) -> tuple[Floats, Floats] | None:
        """Heights above the camera (N,) and their deviations: the ray's rise over the level distance, which changes
        evenly with time and so is told from all frames together."""
        known = np.isfinite(rows.depth_m)
        if np.count_nonzero(known) < 6:
            return None
        up = -self._standpoint.down_cam
        ray = np.column_stack([rows.flat, np.ones(len(rows.t_s))])
        rise = ray @ up
        level = np.linalg.norm(ray - rise[:, None] * up, axis=1)
        away = self._size * rows.depth_m * level
        line = _steady_line(rows.t_s[known], away[known], rows.depth_sd[known] * away[known])
        distance = np.maximum(line[0] * rows.t_s + line[1], 0.5)
        return distance * rise / level, distance * rows.flat_sd / level

    def _above(self, fall: Fall, rows: Rows) -> tuple[Floats, Floats]:
        """How far (N,) the centre lies above the fall at the fall's distance, and the deviations."""
        up = -self._standpoint.down_cam
        place = fall.at(rows.t_s)
        ray = np.column_stack([rows.flat, np.ones(len(rows.t_s))])
        noise = place[:, 2] * rows.flat_sd * fall.noise
        # Beyond the frames it was fitted to, a fall itself is ever less sure.
        return (ray * place[:, 2:] - place) @ up, np.sqrt(noise**2 + fall.covariance_at(rows.t_s) @ up @ up)

    def _scales(self) -> tuple[float, ...]:
        return (1.0,) if self._size_sd < 0.03 else _SCALES_UNSURE

    def _learn_size(self, flown: Flown, rows: Rows) -> None:
        """The athlete's size by how far away the fall was and how far the body's size in the picture said."""
        inside = (rows.t_s >= flown.take_off_s) & (rows.t_s <= flown.entry_s) & np.isfinite(rows.depth_m)
        if np.count_nonzero(inside) < 5:
            return
        ratio = flown.fall.at(rows.t_s[inside])[:, 2] / rows.depth_m[inside]
        noise = 1.25 * float(np.std(ratio)) / np.sqrt(len(ratio) / 4)  # neighbouring frames err alike
        sd = float(np.hypot(flown.fall.depth_sd, noise))
        weight, prior = 1 / sd**2, 1 / SIZE_SD**2
        self._size = float((weight * np.median(ratio) + prior) / (weight + prior))
        self._size_sd = float((weight + prior) ** -0.5)

    # What places one pose.

    def _by_size(self, t_s: float, root: Root, pose_m: Floats) -> tuple[Floats, Floats]:
        """Root (3,) and covariance from the joints in the picture, its depth shared with the frames about it, and just
        before and after a fall with that."""
        ray = root.root_cam_m / root.root_cam_m[2]
        depth, sd = self._depth_near(t_s, root)
        sd = depth * float(np.hypot(sd, self._size_sd / self._size))
        beside = self._beside_fall(t_s, ray, pose_m)
        if beside is not None:
            own, other = sd**-2, beside[1] ** -2
            depth, sd = (own * depth + other * beside[0]) / (own + other), (own + other) ** -0.5
        covariance = np.outer(ray, ray) * sd**2
        covariance[:2, :2] += depth**2 * _across(root)
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
        distance = float(np.linalg.norm(level)) - float(_CENTRE @ pose_m @ along)
        sd = np.hypot(flown.fall.depth_sd * np.linalg.norm(level), _STANDS_M + _STROLL_M_S * apart_s)
        steep = float(np.linalg.norm(flat_ray))
        return distance / steep, float(sd) / steep

    def _depth_near(self, t_s: float, root: Root) -> tuple[float, float]:
        """Depth of the pelvis and its relative deviation: what this frame says, steadied by those about it."""
        rows = self._history.between(t_s - _NEAR_S, t_s + _NEAR_S)
        known = np.isfinite(rows.depth_m)
        own_sd = float(np.sqrt(root.covariance_m2[2, 2])) / root.root_cam_m[2]
        if np.count_nonzero(known) < 5:
            return self._size * float(root.root_cam_m[2]), own_sd
        sd = rows.depth_sd[known] * rows.depth_m[known]
        line = _steady_line(rows.t_s[known] - t_s, rows.depth_m[known], sd)
        relative = float(np.median(rows.depth_sd[known])) / np.sqrt(np.count_nonzero(known) / 4)
        return self._size * line[1], relative

    def _by_fall(self, t_s: float, pose_m: Floats) -> tuple[Floats, Floats] | None:
        """Root (3,) and covariance from the fall that covers this time: the centre of gravity less the pose's own."""
        flown = self.fall_at(t_s)
        if flown is None:
            return None
        at = np.array([t_s])
        centre = _CENTRE @ pose_m
        covariance = flown.fall.covariance_at(at)[0]
        return flown.fall.at(at)[0] - centre, covariance + np.eye(3) * (0.03**2 + (0.1 * centre) ** 2)


def _across(root: Root) -> Floats:
    """Covariance (2, 2) of the root's direction on the plane Z = 1."""
    ray = root.root_cam_m / root.root_cam_m[2]
    slopes = np.column_stack([np.eye(2), -ray[:2]]) / root.root_cam_m[2]
    return np.asarray(slopes @ root.covariance_m2 @ slopes.T)


def _along(root: Root, place_m: Floats) -> tuple[Floats, Floats]:
    """The root's ray as a guess of where it is, at the depth of a place; of the depth it says nothing: the size of the
    body has told the fall already."""
    ray = root.root_cam_m / root.root_cam_m[2]
    covariance = np.outer(ray, ray) * (_ANYWHERE * place_m[2]) ** 2
    covariance[:2, :2] += place_m[2] ** 2 * _across(root)
    return ray * place_m[2], covariance


def sighting(root: Root, joints_root_m: Floats) -> Sighting:
    """The centre of gravity of a pose (17, 3) whose pelvis was seen at `root`, as evidence for a fall."""
    pose = joints_root_m - joints_root_m[PELVIS]
    centre = root.root_cam_m + _CENTRE @ pose
    depth = float(centre[2])
    body = float(np.linalg.norm(np.ptp(pose, axis=0))) / depth
    across = float(np.sqrt(_across(root).trace() / 2))
    depth_sd = float(np.sqrt(root.covariance_m2[2, 2])) / float(root.root_cam_m[2])
    return Sighting(
        (float(centre[0]) / depth, float(centre[1]) / depth), max(across, _FLAT_FLOOR * body), depth, depth_sd
    )


def _steady_line(t: Floats, values: Floats, sd: Floats) -> tuple[float, float]:
    """Slope and value at 0 of the line through values (N,), those far from it counting less."""
    sure = 1 / np.maximum(sd, 1e-6) ** 2
    weight = sure
    for _ in range(3):
        total = float(weight.sum())
        middle, mean = float(weight @ t) / total, float(weight @ values) / total
        slope = float(weight @ ((t - middle) * values)) / max(float(weight @ (t - middle) ** 2), 1e-12)
        miss = np.abs(values - mean - slope * (t - middle)) * np.sqrt(sure)
        limit = 1.5 * max(float(np.median(miss)) * 1.4826, 1e-9)
        weight = sure * np.minimum(1.0, limit / np.maximum(miss, 1e-12))
    return slope, mean - slope * middle


def _fused(guesses: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Several guesses of a point with covariances as one, by inverse variance."""
    information = [np.linalg.inv(covariance + 1e-8 * np.eye(3)) for _, covariance in guesses]
    covariance = np.linalg.inv(sum(information[1:], information[0]))
    pulls = [weight @ point for weight, (point, _) in zip(information, guesses, strict=True)]
    return np.asarray(covariance @ sum(pulls[1:], pulls[0])), covariance


def _sureness(gain: float) -> float:
    """Of a stretch's gain, 0 to 1: a half where it is just enough to be taken for a fall."""
    return float(1 / (1 + np.exp(1 - gain / 25.0)))
