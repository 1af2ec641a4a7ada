"""From 17 joints to bone rotations of an anny body: the directions of the bones decide, lengths are the body's own.

Trunk frames come from hips and shoulders, limbs from the smallest rotation that points each bone along its target
(swing); the twist of upper arms and thighs follows the plane in which elbow and knee bend.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engines.skeleton import PARENTS, J
from training.synth.body import Body, BodyModel

Array = npt.NDArray[Any]

LEFT_ARM: Final = (11, 12, 13)
RIGHT_ARM: Final = (14, 15, 16)
LEFT_LEG: Final = (4, 5, 6)
RIGHT_LEG: Final = (1, 2, 3)
BENT_FROM_RAD: Final = 0.15
"""Below this bend a limb's plane is not used; above twice this it decides fully."""


def unit(vectors: Array) -> Array:
    """Vectors divided by their length along the last axis (zero stays zero)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def skew(vectors: Array) -> Array:
    """Cross-product matrices [..., 3, 3] of vectors [..., 3]."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape[:-1], 3, 3)


def about(axes: Array, angles: Array) -> Array:
    """Rotation matrices [B, 3, 3] about unit axes [B, 3] by angles [B] in radians (Rodrigues)."""
    cross = skew(np.asarray(axes, float))
    angles = np.broadcast_to(np.asarray(angles, float), cross.shape[:-2])[..., None, None]
    return np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * (cross @ cross)


def swing(source: Array, target: Array) -> Array:
    """Smallest rotations [B, 3, 3] that turn unit vectors source [B, 3] to target [B, 3]."""
    cosine = np.clip(np.sum(source * target, -1), -1, 1)
    axis = np.cross(source, target)
    opposite = cosine < -1 + 1e-6
    fallback = unit(np.cross(source, np.where(np.abs(source[..., :1]) < 0.7, [1.0, 0, 0], [0, 1.0, 0])))
    axis = np.where(opposite[..., None], fallback, unit(axis))
    return about(axis, np.arccos(cosine))


def between(first: Array, second: Array, share: float) -> Array:
    """Rotation `share` of the way from `first` to `second` [B, 3, 3] along the shortest arc."""
    relative = second @ np.swapaxes(first, -1, -2)
    cosine = np.clip((np.trace(relative, axis1=-2, axis2=-1) - 1) / 2, -1, 1)
    axis = np.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        -1,
    )
    return about(unit(axis), share * np.arccos(cosine)) @ first


def frame(primary: Array, secondary: Array) -> Array:
    """Rotation [B, 3, 3] with columns (primary, made orthogonal secondary, their cross product)."""
    first = unit(primary)
    second = unit(secondary - np.sum(first * secondary, -1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], -1)


def scaled_to(body: Body, joints: Array) -> Array:
    """`joints` [B, 17, 3] with every bone scaled to the body's length, pelvis at the origin."""
    scaled = np.zeros_like(joints)
    for joint in range(1, J):
        parent = PARENTS[joint]
        length = np.linalg.norm(body.joints_m[joint] - body.joints_m[parent])
        scaled[:, joint] = scaled[:, parent] + length * unit(joints[:, joint] - joints[:, parent])
    return scaled


class _Retarget:
    """One call's working state: bone rotations filled from the trunk outwards."""

    def __init__(self, model: BodyModel, body: Body, joints: Array) -> None:
        self.model, self.body = model, body
        self.target = scaled_to(body, np.asarray(joints, float))
        self.rest = body.joints_m.astype(float)
        self.heads = body.bone_heads_m.astype(float)
        count, bones = len(joints), len(model.bone_names)
        self.turns = np.broadcast_to(np.eye(3), (count, bones, 3, 3)).copy()

    def to(self, start: int, end: int) -> Array:
        return unit(self.target[:, end] - self.target[:, start])

    def head(self, bone: str) -> Array:
        return self.heads[self.model.index[bone]]

    def turn(self, turn: Array, *bones: str) -> None:
        for bone in bones:
            self.turns[:, self.model.index[bone]] = turn

    def at(self, bone: str) -> Array:
        return self.turns[:, self.model.index[bone]]

    def spread(self) -> None:
        """Bones nobody set follow their parent (toes, fingers, eyes)."""
        for name in self.model.bone_names:
            if name.startswith(("toe", "finger", "metacarpal", "eye")):
                bone = self.model.index[name]
                self.turns[:, bone] = self.turns[:, self.model.bone_parents[bone]]

    def trunk(self) -> None:
        rest = self.rest
        pelvis = frame(self.to(1, 4), self.to(0, 7)) @ frame(rest[4] - rest[1], rest[7] - rest[0]).T
        chest = (
            frame(self.to(7, 8), self.target[:, 11] - self.target[:, 14])
            @ frame(rest[8] - rest[7], rest[11] - rest[14]).T
        )
        self.turn(pelvis, "root", "pelvis.L", "pelvis.R")
        low = swing(unit(pelvis @ (rest[7] - rest[0])), self.to(0, 7)) @ pelvis
        bones = ("spine05", "spine04", "spine03", "spine02")
        turns = [low, between(low, chest, 0.2), between(low, chest, 0.5)]
        # The bent chain must still lead from pelvis to spine joint along the target.
        chain = pelvis @ (self.head("spine05") - rest[0])
        for turn, start, end in zip(turns, bones[:-1], bones[1:], strict=True):
            chain = chain + turn @ (self.head(end) - self.head(start))
        fix = swing(unit(chain), self.to(0, 7))
        for bone, turn in zip(bones[:-1], turns, strict=True):
            self.turn(fix @ turn, bone)
        self.turn(chest, "spine02", "spine01")

    def neck(self, yaw: Array) -> None:
        chest = self.at("spine01")
        base = chest @ (self.head("neck01") - self.rest[8])
        wanted = self.target[:, 9] - self.target[:, 8] - base
        neck = swing(unit(chest @ (self.rest[9] - self.head("neck01"))), unit(wanted)) @ chest
        self.turn(neck, "neck01", "neck02", "neck03")
        up = self.to(9, 10)
        head = swing(unit(neck @ (self.rest[10] - self.rest[9])), up) @ neck
        self.turn(about(up, yaw) @ head, "head")

    def arm(self, side: str, joints: tuple[int, int, int]) -> None:
        shoulder = joints[0]
        chest = self.at("spine01")
        clavicle = self.head(f"clavicle.{side}")
        base = chest @ (clavicle - self.rest[8])
        wanted = self.target[:, shoulder] - self.target[:, 8] - base
        girdle = swing(unit(chest @ (self.rest[shoulder] - clavicle)), unit(wanted)) @ chest
        self.turn(girdle, f"clavicle.{side}", f"shoulder01.{side}")
        self.limb(girdle, joints, ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02"), side, None)
        self.turn(self.at(f"lowerarm02.{side}"), f"wrist.{side}")

    def leg(self, side: str, joints: tuple[int, int, int], plantar: Array) -> None:
        bones = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02")
        self.limb(self.at("root"), joints, bones, side, np.array([1.0, 0, 0]))
        shank = self.at(f"lowerleg02.{side}")
        axis = np.broadcast_to(np.array([1.0, 0, 0]), (len(shank), 3))
        self.turn(shank @ about(axis, plantar), f"foot.{side}")

    def limb(
        self,
        base: Array,
        joints: tuple[int, int, int],
        bones: tuple[str, ...],
        side: str,
        hinge: Array | None,
    ) -> None:
        """Two bones of a limb. `hinge`: rest axis about which the lower bone bends (None: from the rest pose)."""
        start, middle, end = joints
        upper0, lower0 = self.rest[middle] - self.rest[start], self.rest[end] - self.rest[middle]
        upper_to, lower_to = self.to(start, middle), self.to(middle, end)
        upper = swing(unit(base @ upper0), upper_to) @ base
        if hinge is None:
            hinge = unit(np.cross(upper0, lower0))
        bend = np.arccos(np.clip(np.sum(upper_to * lower_to, -1), -1, 1))
        normal = unit(np.cross(upper_to, lower_to))
        current = upper @ hinge
        current = unit(current - np.sum(current * upper_to, -1, keepdims=True) * upper_to)
        angle = np.arctan2(np.sum(np.cross(current, normal) * upper_to, -1), np.sum(current * normal, -1))
        share = np.clip((bend - BENT_FROM_RAD) / BENT_FROM_RAD, 0, 1)
        twist = np.clip(angle, -2.0, 2.0) * share
        self.turn(about(upper_to, twist * 0.5) @ upper, f"{bones[0]}.{side}")
        full = about(upper_to, twist) @ upper
        self.turn(full, f"{bones[1]}.{side}")
        lower = swing(unit(full @ lower0), lower_to) @ full
        self.turn(lower, f"{bones[2]}.{side}", f"{bones[3]}.{side}")


def turns_from_joints(
    model: BodyModel,
    body: Body,
    joints: Array,
    head_yaw: Array | float = 0.0,
    plantar: Array | float = 0.0,
) -> Array:
    """Bone rotations [B, K, 3, 3] float32 that put `body` into the poses `joints` [B, 17, 3].

    Any metric scale and position will do: only directions are used. `head_yaw` [B] turns the head about its axis,
    `plantar` [B] points the toes (radians); neither can be seen in the 17 joints.
    """
    count = len(joints)
    work = _Retarget(model, body, joints)
    work.trunk()
    work.neck(np.broadcast_to(np.asarray(head_yaw, float), (count,)))
    work.arm("L", LEFT_ARM)
    work.arm("R", RIGHT_ARM)
    toes = np.broadcast_to(np.asarray(plantar, float), (count,))
    work.leg("L", LEFT_LEG, toes)
    work.leg("R", RIGHT_LEG, toes)
    work.spread()
    return work.turns.astype(np.float32)
