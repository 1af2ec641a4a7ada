"""MPI-INF-3DHP's training set as training shards (Mehta et al., "Monocular 3D Human Pose Estimation In The Wild Using
Improved CNN Supervision", 3DV 2017).

Layout: `S1/Seq1/annot.mat` (cells a camera: `annot2` (N, 56) pixels, `annot3` (N, 84) millimetres in that camera's
axes; `frames`) beside `imageSequence/video_0.avi` and so on, or pictures taken out of them,
`imageFrames/video_0/frame_000001.jpg`. Cameras without pictures are passed over. The camera is found from the labels.

Of the 28 joints ours are taken by meaning: neck for thorax; the head joint lies 5 to 8 cm below the crown, a quarter of
the way from crown to neck. For the nose joint (base of the skull) there is no counterpart: it is given in 3D by
the joint `head`, and not labelled.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, J
from training.convert.crop import Athlete, Frame, fitted_camera
from training.convert.matlab import read_mat
from training.convert.photos import CROWN_TO_HEAD
from training.convert.run import DataSet
from training.errors import TrainingError

ALL: Final = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top", "left_clavicle", "left_shoulder",
    "left_elbow", "left_wrist", "left_hand", "right_clavicle", "right_shoulder", "right_elbow", "right_wrist",
    "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe", "right_hip", "right_knee",
    "right_ankle", "right_foot", "right_toe",
)  # fmt: skip
"""Order of the 28 joints in the files."""
TAKEN: Final = tuple(ALL.index({"thorax": "neck", "nose": "head", "head": "head_top"}.get(n, n)) for n in JOINT_NAMES)
THORAX, NOSE, HEAD = (JOINT_NAMES.index(name) for name in ("thorax", "nose", "head"))
SIZE_PX: Final = (2048, 2048)
LAYOUT: Final = "expected S1/Seq1/annot.mat beside imageSequence/video_0.avi or imageFrames/video_0/frame_000001.jpg"


def read(folder: Path, every: int = 5) -> DataSet:
    """Every `every`-th frame of every camera that has pictures; TrainingError where the layout is another."""
    tables = sorted(folder.glob("S*/Seq*/annot.mat"))
    if not tables:
        raise TrainingError(f"{folder}: no sequences here; {LAYOUT}")
    athletes = [athlete for table in tables for athlete in _sequence(table, every)]
    if not athletes:
        raise TrainingError(f"{folder}: no video or picture beside {len(tables)} annot.mat; {LAYOUT}")
    return DataSet("mpi_inf_3dhp", folder, athletes, tables, {"source": "mpi_inf_3dhp", "every": every})


def to_skeleton(joints: NDArray[Any]) -> NDArray[np.float32]:
    """Our joints (N, 17, d) from 28 (N, 28, d), pixels or lengths."""
    ours = joints[:, list(TAKEN)].astype(np.float32)
    ours[:, HEAD] += np.float32(CROWN_TO_HEAD) * (ours[:, THORAX] - ours[:, HEAD])
    return ours


def _sequence(table: Path, every: int) -> list[Athlete]:
    annotations = read_mat(table)
    athletes: list[Athlete] = []
    for number, (points, joints_m) in enumerate(zip(*_cells(annotations, table), strict=True)):
        video = table.parent / "imageSequence" / f"video_{number}.avi"
        pictures = table.parent / "imageFrames" / f"video_{number}"
        if not video.is_file() and not pictures.is_dir():
            continue
        measured = np.arange(J) != HEAD  # the head joint is put between two
        where = f"{table}, camera {number}"
        camera = fitted_camera(joints_m[:, measured], points[:, measured], SIZE_PX, lens=False, where=where)
        labelled = np.arange(J) != NOSE
        for row in range(0, len(points), every):
            frame = Frame(video, row) if video.is_file() else Frame(pictures / f"frame_{row + 1:06d}.jpg")
            key = f"mpi3dhp-g{table.parent.parent.name}_{table.parent.name}-{number}_{row:06d}"
            athletes.append(Athlete(key, frame, "mpi_inf_3dhp", points[row], labelled, labelled, joints_m[row], camera))
    return athletes


def _cells(annotations: dict[str, Any], table: Path) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """2D (N, 17, 2) pixels and 3D (N, 17, 3) metres of each camera."""
    try:
        flat, solid = (list(np.asarray(annotations[name], object).ravel()) for name in ("annot2", "annot3"))
        points = [to_skeleton(np.asarray(cell, np.float32).reshape(-1, len(ALL), 2)) for cell in flat]
        joints = [to_skeleton(np.asarray(cell, np.float32).reshape(-1, len(ALL), 3)) / 1000 for cell in solid]
    except (KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{table}: annot2 or annot3 is not as published ({error}); {LAYOUT}") from None
    if [len(cell) for cell in points] != [len(cell) for cell in joints]:
        raise TrainingError(f"{table}: annot2 and annot3 differ in length; restore the file")
    return points, joints
