"""How much of the sky each point of a body sees: the body's own parts as spheres that shade each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.synth.body import Body, BodyModel

Array = npt.NDArray[Any]


class Flesh:
    """A body as some twenty spheres, one per larger bone, for soft shadows where parts come near each other."""

    def __init__(self, model: BodyModel, body: Body) -> None:
        owner = model.dominant_bone
        kept = [k for k in range(len(model.bone_names)) if np.sum(owner == k) >= len(owner) // 200]
        share = np.stack([(owner == k).astype(np.float32) for k in kept])
        self._share = share / share.sum(1, keepdims=True)
        self._radius_sq = np.array([self._radius(body.vertices_m[owner == k]) ** 2 for k in kept], np.float32)

    @staticmethod
    def _radius(points: Array) -> float:
        """Of the flesh around the bone: its second principal extent."""
        spread = np.linalg.svd(points - points.mean(0), compute_uv=False) / np.sqrt(len(points))
        return float(1.2 * spread[1])

    def open_share(self, points: Array, normals: Array) -> Array:
        """Share of the light from all around that reaches points [V, 3] with unit `normals` [V, 3]: [V], 0.25-1.

        A sphere of radius r at distance d in a direction at angle a to the normal hides cos(a) r^2 / d^2 of it.
        """
        centres = self._share @ points
        along = normals @ centres.T - np.sum(normals * points, 1)[:, None]
        squared = (np.sum(points**2, 1)[:, None] + np.sum(centres**2, 1) - 2 * points @ centres.T).astype(np.float32)
        squared = np.maximum(squared, self._radius_sq)
        hidden = np.maximum(along, 0) * self._radius_sq / (squared * np.sqrt(squared))
        return np.asarray(np.maximum(np.prod(1 - np.minimum(hidden, 0.7), axis=1), 0.25), np.float32)
