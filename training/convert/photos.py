"""Photographs with 14 joints (the layout of Leeds Sports Pose Extended crops) as training shards.

Layout: `crops/*.jpg` beside `joints.npz` with `filename` (N), `joints` (N, 14, 3: x, y in pixels, 1 where labelled)
and `joint_names` (14). Neck and head top have no exact counterpart in our skeleton: the neck stands for the
thorax, and the head joint, which lies 5 to 8 cm below the crown, is put a quarter of the way from crown to neck.
Johnson and Everingham, "Learning Effective Human Pose Estimation from Inaccurate Annotation", CVPR 2011.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, J
from training.convert.crop import Athlete, Frame
from training.convert.run import DataSet
from training.errors import TrainingError
from training.npz import numbers, read_npz

Array = NDArray[np.float32]

NAMES: Final = (
    "RAnkle", "RKnee", "RHip", "LHip", "LKnee", "LAnkle",
    "RWrist", "RElbow", "RShoulder", "LShoulder", "LElbow", "LWrist", "Neck", "HeadTop",
)  # fmt: skip
"""The 14 joints in the order of the files."""
LIMBS: Final = (3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13)
"""Our joint for each of the first twelve."""
PELVIS, THORAX, HEAD = (JOINT_NAMES.index(name) for name in ("pelvis", "thorax", "head"))
CROWN_TO_HEAD: Final = 0.25
"""Share of the way from crown to neck at which the head joint lies."""
LAYOUT: Final = "expected crops/*.jpg beside joints.npz with filename (N), joints (N,14,3), joint_names (14)"


def photo_key(filename: str) -> str:
    """Key of a photograph in shards; the split into training and validation is by the hash of its name."""
    return f"lsp-{Path(filename).stem}-00"


def to_skeleton(joints: NDArray[Any]) -> tuple[Array, NDArray[np.bool_]]:
    """Our joints (17, 2) and which are labelled (17) from the fourteen (14, 3) of a file."""
    points, known = np.zeros((J, 2), np.float32), np.zeros(J, bool)
    there = joints[:, 2] > 0
    points[list(LIMBS)], known[list(LIMBS)] = joints[:12, :2], there[:12]
    if there[2] and there[3]:
        points[PELVIS], known[PELVIS] = joints[2:4, :2].mean(0), True
    neck, crown = joints[12, :2], joints[13, :2]
    points[THORAX], known[THORAX] = neck, there[12]
    if there[12] and there[13]:
        points[HEAD], known[HEAD] = crown + CROWN_TO_HEAD * (neck - crown), True
    points[~known] = 0
    return points, known


def read(folder: Path) -> DataSet:
    """Every photograph of a folder; TrainingError where the layout is another."""
    table = folder / "joints.npz"
    names, joints = _read_table(table)
    if joints.ndim != 3 or joints.shape[1:] != (14, 3) or len(names) != len(joints):
        raise TrainingError(f"{table}: joints are {joints.shape} for {len(names)} names; {LAYOUT}")
    athletes = []
    for name, row in zip(names, joints, strict=True):
        if Path(name).name != name:
            raise TrainingError(f"{table}: file name {name!r} leaves the folder crops/")
        points, known = to_skeleton(row)
        athletes.append(Athlete(photo_key(name), Frame(folder / "crops" / name), "photo", points, known, known))
    return DataSet("photos", folder, athletes, [table], {"source": "photo"})


def _read_table(table: Path) -> tuple[list[str], Array]:
    """File names and joints (N, 14, 3), in the order of NAMES."""
    arrays = read_npz(table, LAYOUT, ("filename", "joints"), ("joint_names",))
    order = tuple(str(name) for name in np.atleast_1d(arrays.get("joint_names", np.array(NAMES))))
    if order != NAMES:
        raise TrainingError(f"{table}: joint_names are {', '.join(order)}; expected {', '.join(NAMES)}")
    names = [str(name) for name in np.atleast_1d(arrays["filename"])]
    return names, numbers(table, "joints", arrays["joints"], np.float32)
