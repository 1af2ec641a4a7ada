"""Where poses come from: motion capture files, random poses, dives; and how the body lies in space.

Motion capture files are `.npz` with `pos17` [F, 17, 3] (metres, z up, joint order of `engines.skeleton`) and, if
present, `ok` [F] (False around glitches).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engines.skeleton import MIRROR
from training.errors import TrainingError
from training.npz import numbers, read_npz
from training.synth.poses import COLUMN, HIGH, KEY_POSES, LOW, joints_of, random_angles

Array = npt.NDArray[Any]

SHARE_ANY_ORIENTATION: Final = 0.6
"""Share of samples whose body is turned uniformly over all rotations; the rest keep upright or as recorded."""


FLIGHTS: Final = (
    ("push", "tuck", "tuck", "layout", "entry"),
    ("push", "open_tuck", "tuck", "layout_arms_up", "entry"),
    ("push", "pike", "pike", "layout", "entry"),
    ("push", "open_pike", "pike", "layout_arms_up", "entry"),
    ("push", "swan", "layout", "entry"),
    ("push", "twist_left", "arms_wrapped", "pike", "entry"),
    ("stand", "crouch", "push", "arms_up", "layout_arms_up"),
)
"""Sequences of key poses a dive goes through."""
POSITIONS: Final = ("C", "C", "B", "B", "A", "D", None)
"""The letter of each of them; the last one only jumps."""
KEY_POSE_S: Final = 0.4
"""Nominal time from one key pose to the next: flights of 0.8 to 1.2 s, as from boards of 1 m and 3 m."""
_BOARD: Final = ("stand", "crouch", "push")
LAYOUT: Final = "expected pos17 (F, 17, 3), metres, and, if there is one, ok (F)"


class MocapError(RuntimeError):
    """A motion capture folder cannot be used."""


@dataclass(frozen=True)
class Mocap:
    """Good frames of all clips: `joints_m` [F, 17, 3], metres, z up."""

    joints_m: Array

    def sample(self, rng: np.random.Generator, count: int) -> Array:
        """`count` frames [count, 17, 3]; frames with the trunk tilted beyond 60 degrees are drawn more often."""
        take = rng.integers(len(self.joints_m), size=count)
        tilted = self._tilted
        if len(tilted):
            rare = rng.random(count) < 0.2
            take = np.where(rare, tilted[rng.integers(len(tilted), size=count)], take)
        return self.joints_m[take]

    @property
    def _tilted(self) -> Array:
        trunk = self.joints_m[:, 8] - self.joints_m[:, 0]
        return np.flatnonzero(trunk[:, 2] < 0.5 * np.linalg.norm(trunk, axis=-1))


def read_mocap(folder: Path) -> Mocap:
    """All good frames of the `.npz` files in `folder`.

    Raises MocapError when there is no file, no good frame, or a file without `pos17` [F, 17, 3] or with another `ok`.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise MocapError(f"{folder}: no .npz motion capture files here; give the folder that holds them")
    joints = np.concatenate([_good_frames(file) for file in files])
    if not len(joints):
        raise MocapError(f"{folder}: no frame of its .npz files is marked ok; add motion capture")
    return Mocap(joints)


def _good_frames(file: Path) -> Array:
    try:
        data = read_npz(file, LAYOUT, ("pos17",), ("ok",))
        joints = numbers(file, "pos17", data["pos17"], np.float32)
        good = numbers(file, "ok", data["ok"], np.int64) > 0 if "ok" in data else np.ones(len(joints), bool)
    except TrainingError as error:
        raise MocapError(str(error)) from None
    if joints.shape[1:] != (17, 3) or good.shape != joints.shape[:1]:
        raise MocapError(f"{file}: pos17 is {joints.shape}, ok {good.shape}; {LAYOUT}")
    return np.asarray(joints[good])


@dataclass(frozen=True)
class Moment:
    """Where in a dive a pose is: `phase` board, flight, entry or water, none outside dives; `position` A to D.

    `share` 0-1 of the way from the first key pose to the last, evenly spaced; `events` shares of take_off and entry;
    `span_s` the nominal time from the first to the last. Moments are drawn pose by pose, turned anyhow: no dive number
    belongs to them, and no clock but the nominal one.
    """

    phase: str = "none"
    position: str | None = None
    share: float | None = None
    events: dict[str, float] = field(default_factory=dict)
    span_s: float = 0.0

    def as_label(self) -> dict[str, Any]:
        """Fields of a sample's label."""
        dive = self.share is not None
        return {
            "phase": self.phase,
            "dive_code": None,
            "dive_position": self.position,
            "dive_share": round(self.share, 4) if self.share is not None else None,
            "dive_events": {name: round(at, 4) for name, at in self.events.items()},
            "t_s": round(self.share * self.span_s, 3) if self.share is not None else None,
            "events_s": {name: round(at * self.span_s, 3) for name, at in self.events.items()} if dive else None,
        }


NO_DIVE: Final = Moment()


@dataclass(frozen=True)
class PoseSample:
    """Poses to be put on bodies: `joints_m` [B, 17, 3] z up, `plantar_rad` [B], `source` and `moment` per pose."""

    joints_m: Array
    plantar_rad: Array
    source: list[str]
    moment: list[Moment]


def sample_mocap(mocap: Mocap, rng: np.random.Generator, count: int) -> PoseSample:
    """Recorded poses, pelvis at the origin, half of them mirrored left to right."""
    joints = mocap.sample(rng, count)
    joints = joints - joints[:, :1]
    mirrored = joints[:, MIRROR] * np.array([-1, 1, 1], joints.dtype)
    joints = np.where((rng.random(count) < 0.5)[:, None, None], mirrored, joints)
    return PoseSample(joints, rng.uniform(-0.2, 0.5, count), ["mocap"] * count, [NO_DIVE] * count)


def sample_random(rng: np.random.Generator, count: int) -> PoseSample:
    """Random gymnast-like poses, upright."""
    angles = random_angles(rng, count)
    return PoseSample(joints_of(angles), angles[:, COLUMN["plantar"]], ["random"] * count, [NO_DIVE] * count)


def random_rotation(rng: np.random.Generator) -> Array:
    """A rotation matrix drawn uniformly from SO(3) (normalised Gaussian quaternion)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def sample_dive(rng: np.random.Generator, count: int) -> PoseSample:
    """Moments of dives: between neighbouring key poses of one position, turned anyhow about the somersault axis."""
    drawn = [_moment(rng) for _ in range(count)]
    angles = np.stack([pose for pose, _ in drawn])
    joints = joints_of(angles)
    turns = np.stack([_flight_turn(rng) for _ in range(count)])
    joints = np.einsum("bij,bkj->bki", turns, joints)
    return PoseSample(joints, angles[:, COLUMN["plantar"]], ["dive"] * count, [moment for _, moment in drawn])


def _moment(rng: np.random.Generator) -> tuple[Array, Moment]:
    number = int(rng.integers(len(FLIGHTS)))
    poses = FLIGHTS[number]
    first = int(rng.integers(len(poses) - 1))
    start, end = KEY_POSES[poses[first]], KEY_POSES[poses[first + 1]]
    share = float(rng.beta(0.6, 0.6))
    angles = start + share * (end - start)
    pose = np.clip(angles + rng.normal(0, np.deg2rad(5), len(angles)), LOW, HIGH)
    return pose, _moment_of(number, first + share)


def _moment_of(number: int, way: float) -> Moment:
    """The moment `way` key poses after the first of sequence `number`: the phase is that of the nearest key pose."""
    poses = FLIGHTS[number]
    nearest = poses[int(way + 0.5)]
    phase = "board" if nearest in _BOARD else "entry" if nearest == "entry" else "flight"
    last = len(poses) - 1
    events = {"take_off": (poses.index("push") + 0.5) / last}
    if poses[-1] == "entry":
        events["entry"] = (last - 0.5) / last
    return Moment(phase, POSITIONS[number], way / last, events, last * KEY_POSE_S)


def _flight_turn(rng: np.random.Generator) -> Array:
    twist = rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else rng.normal(0, 0.05)
    tilt = rng.normal(0, 0.08)
    return _turn(2, rng.uniform(0, 2 * np.pi)) @ _turn(0, rng.uniform(0, 2 * np.pi)) @ _turn(1, tilt) @ _turn(2, twist)


def _turn(axis: int, angle: float) -> Array:
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    first, second = [k for k in range(3) if k != axis]
    turn[first, first] = turn[second, second] = cosine
    turn[first, second], turn[second, first] = -sine, sine
    return turn


def orientation(rng: np.random.Generator) -> Array:
    """World rotation of a body: any at all, or a turn about the vertical with a slight lean."""
    if rng.random() < SHARE_ANY_ORIENTATION:
        return random_rotation(rng)
    yaw, lean, around = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.12), rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    axis = np.array([np.cos(around), np.sin(around), 0])
    cross = np.array([[0, 0, axis[1]], [0, 0, -axis[0]], [-axis[1], axis[0], 0]])
    tilt = np.eye(3) + np.sin(lean) * cross + (1 - np.cos(lean)) * (cross @ cross)
    return np.asarray(tilt @ turn)
