"""Parametric athletes: anny's body model (CC0 shapes) seen through posecast's 17 joints.

The rest frame is metres, z up, the athlete facing -y, left hand towards +x. A pose is one world rotation per
bone, relative to rest (`turns`, identity = rest pose); joints and vertices follow by forward kinematics and linear
blend skinning in float32 numpy, so that worker processes need torch only while a body's shape is made.
"""

from __future__ import annotations

import functools
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MESH_FINE: Final = "anny"
MESH_COARSE: Final = "notoes_collapse10pc"

ATTACHED_BONE: Final = (
    "root",
    "upperleg01.R",
    "lowerleg01.R",
    "foot.R",
    "upperleg01.L",
    "lowerleg01.L",
    "foot.L",
    "spine02",
    "spine01",
    "head",
    "head",
    "upperarm01.L",
    "lowerarm01.L",
    "wrist.L",
    "upperarm01.R",
    "lowerarm01.R",
    "wrist.R",
)
"""The bone that carries each of the 17 joints, in the order of `engines.skeleton.JOINT_NAMES`."""

HEAD_BELOW_CROWN_M: Final = 0.065
THORAX_ABOVE_SHOULDERS_M: Final = 0.02


@dataclass(frozen=True)
class Body:
    """One athlete's shape at rest.

    `vertices_m` [V, 3] and `bone_heads_m` [K, 3] in the rest frame; `joints_m` [17, 3] the labelled joints at rest;
    `phenotype` the anny parameters it was made of.
    """

    vertices_m: Array
    bone_heads_m: Array
    joints_m: Array
    phenotype: dict[str, float]

    @property
    def stature_m(self) -> float:
        """Height of the standing body in metres."""
        return float(np.ptp(self.vertices_m[:, 2]))


@contextmanager
def _without_error_stream() -> Iterator[None]:
    """Keeps what a library writes to the process's error stream by itself from being seen."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class BodyModel:
    """anny with one mesh topology: makes bodies and poses them.

    `mesh` is an anny topology name; `MESH_FINE` has 13.7 k vertices, `MESH_COARSE` is decimated for small crops.
    """

    def __init__(self, mesh: str = MESH_COARSE) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import warp

            warp.config.log_level = logging.ERROR  # its start-up banner is no news to anybody
            with _without_error_stream():  # nor is that there is no graphics card, which it says past that setting
                warp.init()
            import anny

            self._anny = anny.Anny(topology=mesh)
        self.bone_names: list[str] = list(self._anny.bone_labels)
        self.bone_parents = np.asarray(self._anny.bone_parents)
        self.index = {name: k for k, name in enumerate(self.bone_names)}
        self.faces: Array = self._anny.get_triangular_faces().numpy().astype(np.int32)
        indices = self._anny.vertex_bone_indices.numpy()
        weights = self._anny.vertex_bone_weights.numpy()
        dense = np.zeros((len(weights), len(self.bone_names)), np.float32)
        np.add.at(dense, (np.arange(len(weights))[:, None], indices), weights)
        self.weights = dense
        self.attached = np.array([self.index[name] for name in ATTACHED_BONE])

    def body(self, **phenotype: float) -> Body:
        """A body of these anny parameters (0-1 each): gender, age, muscle, weight, height, proportions."""
        import torch

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coefficients = self._anny.get_phenotype_blendshape_coefficients(**phenotype)
            rest = self._anny.get_rest_model(coefficients)
        vertices = rest["rest_vertices"][0].numpy()
        heads = rest["rest_bone_heads"][0].numpy()
        return Body(
            vertices.astype(np.float32),
            heads.astype(np.float32),
            self._rest_joints(vertices, heads).astype(np.float32),
            dict(phenotype),
        )

    def athlete(self, rng: np.random.Generator, stature_m: float | None = None) -> Body:
        """A random teenager or adult of athletic build; `stature_m` by default about 1.45 to 1.92 m."""
        gender = float(np.clip(rng.choice([0.0, 1.0]) + rng.normal(0, 0.12), 0, 1))
        if stature_m is None:
            stature_m = float(np.clip(rng.normal(1.76 - 0.12 * gender, 0.09), 1.45, 1.92))
        phenotype = {
            "gender": gender,
            "age": float(rng.uniform(0.52, 0.84)),
            "muscle": float(rng.uniform(0.35, 1.0)),
            "weight": float(np.clip(rng.normal(0.46, 0.16), 0.1, 0.95)),
            "proportions": float(rng.uniform(0.25, 1.0)),
        }
        # Stature is linear in anny's height parameter while the others stay put.
        low = self.body(height=0.0, **phenotype).stature_m
        high = self.body(height=1.0, **phenotype).stature_m
        return self.body(height=float(np.clip((stature_m - low) / (high - low), 0, 1)), **phenotype)

    def _rest_joints(self, vertices: Array, heads: Array) -> Array:
        joints = heads[self.attached].copy()
        joints[0] = (joints[1] + joints[4]) / 2
        joints[8] = (joints[11] + joints[14]) / 2 + (0, 0, THORAX_ABOVE_SHOULDERS_M)
        crown = vertices[:, 2].max()
        joints[10] = (joints[9][0], joints[9][1] - 0.01, crown - HEAD_BELOW_CROWN_M)
        return joints

    def bone_shifts(self, body: Body, turns: Array) -> Array:
        """Posed positions of the bone heads [B, K, 3] for `turns` [B, K, 3, 3], with the pelvis joint at the origin."""
        heads = body.bone_heads_m
        placed = np.zeros((*turns.shape[:2], 3), np.float32)
        # the pelvis (middle of the hips) is carried by the root bone
        placed[:, 0] = -np.einsum("bij,j->bi", turns[:, 0], body.joints_m[0] - heads[0])
        for bone in range(1, len(heads)):
            parent = self.bone_parents[bone]
            offset = heads[bone] - heads[parent]
            placed[:, bone] = placed[:, parent] + turns[:, parent] @ offset
        return placed

    def joints(self, body: Body, turns: Array) -> Array:
        """The 17 labelled joints [B, 17, 3] in metres, pelvis at the origin, axes of the frame of `turns`."""
        placed = self.bone_shifts(body, turns)
        return self._joints(body, turns, placed)

    def _joints(self, body: Body, turns: Array, placed: Array) -> Array:
        offset = body.joints_m - body.bone_heads_m[self.attached]
        return placed[:, self.attached] + np.einsum("bjxy,jy->bjx", turns[:, self.attached], offset)

    def posed(self, body: Body, turns: Array) -> tuple[Array, Array]:
        """Skinned vertices [B, V, 3] and joints [B, 17, 3] in metres, pelvis at the origin."""
        turns = np.asarray(turns, np.float32)
        placed = self.bone_shifts(body, turns)
        shift = placed - np.einsum("bkij,kj->bki", turns, body.bone_heads_m)
        affine = np.concatenate([turns, shift[..., None]], -1).reshape(len(turns), len(self.bone_names), 12)
        blended = (self.weights @ affine).reshape(len(turns), -1, 3, 4)
        vertices = np.einsum("bvij,vj->bvi", blended[..., :3], body.vertices_m) + blended[..., 3]
        return vertices, self._joints(body, turns, placed)

    @functools.cached_property
    def dominant_bone(self) -> Array:
        """Index of the bone with the largest weight, per vertex [V]."""
        return self.weights.argmax(1)


def normals(vertices: Array, faces: Array) -> Array:
    """Area-weighted unit vertex normals [V, 3] of one mesh."""
    edges = vertices[faces]
    face_normals = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(face_normals[:, axis], 3), minlength=len(vertices)) for axis in range(3)],
        1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-12)).astype(np.float32)


@functools.lru_cache(maxsize=3)
def load(mesh: str = MESH_COARSE) -> BodyModel:
    """The body model of this mesh, made once a process (anny's first construction ever takes a minute)."""
    return BodyModel(mesh)
