"""Exact truth of a rendered clip, from the `*.truth.json` that `posecast synth dive` writes beside it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import PELVIS, J
from training.errors import TrainingError

Array = NDArray[Any]

IN_VIEW: Final = 9
"""The subject is in view when its pelvis and so many joints are inside the picture and not under water."""


@dataclass(frozen=True)
class Truth:
    """Frames of a clip. Camera axes x right, y down, z forward, metres."""

    joints_root_m: Array  # (F, J, 3) pelvis-relative
    joints_img_px: Array  # (F, J, 2)
    in_view: Array  # (F,)
    rate_hz: float

    @classmethod
    def beside(cls, video: Path) -> Self:
        """Truth of `dive.mp4` from `dive.truth.json`. Raises TrainingError naming the file."""
        path = video.with_suffix(".truth.json")
        try:
            return cls._of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise TrainingError(f"{path}: not the truth of a clip ({error!r}); render the clip again") from None

    @classmethod
    def _of(cls, data: dict[str, Any]) -> Self:
        world, pixels = (_column(data, name) for name in ("joints_world_m", "joints_img_px"))
        if world.shape[1:] != (J, 3) or pixels.shape != (len(world), J, 2):
            raise ValueError(f"joints are {world.shape} and {pixels.shape}")
        camera = np.asarray(data["world_from_cam"]) if "world_from_cam" in data else _column(data, "world_from_cam")
        turn = np.broadcast_to(camera[..., :3, :3], (len(world), 3, 3))  # axes of the camera in the world
        relative = np.einsum("fji,fjk->fik", np.swapaxes(world - world[:, PELVIS : PELVIS + 1], 1, 2), turn)
        size = np.asarray(data["size_px"], float)
        inside = ((pixels >= -0.5) & (pixels <= size - 0.5)).all(-1)
        if "water_z_m" in data:
            inside &= world[..., 2] > float(data["water_z_m"])
        return cls(relative, pixels, inside[:, PELVIS] & (inside.sum(1) >= IN_VIEW), float(data["fps"]))


def _column(data: dict[str, Any], name: str) -> Array:
    """A quantity of every frame, stored as a column or frame by frame."""
    return np.asarray(data[name] if name in data else [frame[name] for frame in data["frames"]], float)
