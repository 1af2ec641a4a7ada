"""Small pose networks of others on the same pictures, run by the reference runner that lies beside them.

MoveNet SinglePose Lightning (int8) and BlazePose-lite, Copyright Google LLC, Apache-2.0. Neither the networks nor the
runner are part of posecast: a folder with `peers_tflite.py` and its `.tflite` files is given on the command line.
"""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Array = NDArray[Any]

RUNNER: Final = "peers_tflite.py"
COCO_LIMBS: Final = (16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9)
"""COCO's joint for each of the twelve limb joints of `training.convert.photos`."""
MOVENET, BLAZEPOSE = "MoveNet Lightning int8", "BlazePose-lite, whole chain"


class Peers:
    """Both networks behind one call."""

    names: Final = (MOVENET, BLAZEPOSE)

    def __init__(self, folder: Path) -> None:
        self._runner = _load(folder)

    def points(self, picture: Array, box_px: Array) -> dict[str, Array]:
        """Limb joints (12, 2) in pixels of `picture` (H, W, 3) RGB by name of the network; NaN where nobody was found.

        `box_px` is the tight box of the joints, left, top, right, bottom. The factors on it are those with which each
        network does best on photographs of sport.
        """
        nobody = np.full((17, 3), np.nan)
        found = self._runner.blazepose(picture, tuple(box_px), scale=2.2, passes=2)
        keypoints = {
            MOVENET: self._runner.movenet(picture, tuple(box_px), scale=1.25),
            BLAZEPOSE: nobody if found is None else found,
        }
        return {name: np.asarray(points)[list(COCO_LIMBS), :2] for name, points in keypoints.items()}


def installed() -> bool:
    """Whether the interpreter of the networks (extra `peers`) is there."""
    return importlib.util.find_spec("ai_edge_litert") is not None


def _load(folder: Path) -> ModuleType:
    path = folder / RUNNER
    if not path.is_file():
        raise TrainingError(f"{path}: no reference runner here; give the folder that holds it with --peers")
    if not installed():
        raise TrainingError("peers: ai-edge-litert is not installed; pip install 'posecast[peers]'")
    spec = importlib.util.spec_from_file_location("peers_tflite", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
