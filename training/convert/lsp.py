"""Leeds Sports Pose and its extension, as their authors publish them, as training shards.

Layout: `joints.mat` with `joints` beside `images/`: LSP (3, 14, N) with `im0001.jpg`, the third row 1 where a joint is
hidden; LSP Extended (14, 3, N) with `im00001.jpg`, the third column 0 where a joint is not labelled. The joints are
mapped as in `training.convert.photos`, and a picture's key is the same, so that a picture that is in both folders
falls on the same side of the split.
Johnson and Everingham, "Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation", BMVC 2010;
"Learning Effective Human Pose Estimation from Inaccurate Annotation", CVPR 2011.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.convert.crop import Athlete, Frame
from training.convert.matlab import read_mat
from training.convert.photos import photo_key, to_skeleton
from training.convert.run import DataSet
from training.errors import TrainingError
from training.npz import numbers

LAYOUT: Final = "expected joints.mat (joints 3 x 14 x N or 14 x 3 x N) beside images/im0001.jpg and so on"


def read(folder: Path) -> DataSet:
    """Everybody of a folder; TrainingError where the layout is another."""
    table = folder / "joints.mat"
    if not table.is_file() or not (folder / "images").is_dir():
        raise TrainingError(f"{folder}: no LSP here; {LAYOUT}")
    joints = numbers(table, "joints", np.asarray(read_mat(table).get("joints", ())), np.float32)
    if joints.ndim != 3 or joints.shape[:2] not in ((3, 14), (14, 3)):
        raise TrainingError(f"{table}: joints are {joints.shape}; {LAYOUT}")
    extended = joints.shape[0] == 14
    rows = np.moveaxis(joints if extended else joints.transpose(1, 0, 2), 2, 0)  # (N, 14, 3)
    name = "lspet" if extended else "lsp"
    digits = 5 if extended else 4
    athletes = [
        _athlete(folder / "images" / f"im{number:0{digits}d}.jpg", name, row, hidden=not extended)
        for number, row in enumerate(rows, 1)
    ]
    return DataSet(name, folder, athletes, [table], {"source": name})


def _athlete(path: Path, name: str, row: NDArray[Any], hidden: bool) -> Athlete:
    """`hidden`: the flag says that a joint is hidden, not that it is labelled."""
    labelled = np.ones(14) if hidden else row[:, 2] > 0
    points, known = to_skeleton(np.column_stack([row[:, :2], labelled]))
    visible = known.copy()
    if hidden:
        _, visible = to_skeleton(np.column_stack([row[:, :2], row[:, 2] < 0.5]))
    return Athlete(photo_key(path.name), Frame(path), name, points, known, visible)
