"""Human3.6M as training shards (Ionescu et al., "Human3.6M", IEEE TPAMI 36(7), 2014).

Layout, as the tools of the h36m-fetch family write it, one folder a take: `S1/Directions-1/annot.h5`, or `annot.npz`
with the same names:

| name | shape | meaning |
|---|---|---|
| `pose/2d` | (N, 32, 2) or (N, 17, 2) | pixels of the picture, lens included (D2_Positions) |
| `pose/3d` | (N, 32, 3) or (N, 17, 3) | axes of that camera, millimetres (D3_Positions_mono) |
| `camera` | (N) | number of the camera, such as 54138969 |
| `frame` | (N) | number of the frame at 50 fps, from 1 |

Pictures beside it: `imageSequence/54138969/img_000001.jpg`, or the whole video `imageSequence/54138969.mp4` (or .avi),
whose first frame is frame 1. The camera, lens included, is found from the labels: it maps `pose/3d` onto `pose/2d`.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from engines.skeleton import J
from training.convert.crop import Athlete, Frame, fitted_camera
from training.convert.run import DataSet
from training.errors import TrainingError
from training.npz import numbers, read_npz

OF_32: Final = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Our joints, which are Human3.6M's own, among the 32 of its files."""
TRAINING: Final = ("S1", "S5", "S6", "S7", "S8")
"""Subjects of the usual protocol; S9 and S11 are for testing and only converted when named."""
SIZE_PX: Final = (1000, 1002)
NAMES: Final = ("pose/2d", "pose/3d", "camera", "frame")
"""Arrays of a take."""
LAYOUT: Final = (
    "expected S1/Directions-1/annot.h5 (or .npz) beside imageSequence/54138969/img_000001.jpg or 54138969.mp4"
)


def read(folder: Path, subjects: tuple[str, ...] = TRAINING, every: int = 5) -> DataSet:
    """Every `every`-th frame of the subjects' takes; TrainingError where the layout is another."""
    tables = [
        table
        for subject in subjects
        for take in sorted((folder / subject).glob("*"))
        for table in (take / "annot.h5", take / "annot.npz")
        if table.is_file()
    ]
    if not tables:
        raise TrainingError(f"{folder}: no takes of {', '.join(subjects) or 'no subject'}; {LAYOUT}")
    athletes = [athlete for table in tables for athlete in _take(table, every)]
    settings = {"source": "h36m", "subjects": list(subjects), "every": every}
    return DataSet("h36m", folder, athletes, tables, settings)


def _take(table: Path, every: int) -> list[Athlete]:
    values = _read_table(table)
    points, joints_mm = _ours(values, "pose/2d", 2, table), _ours(values, "pose/3d", 3, table)
    camera_of, frame_of = (numbers(table, name, values[name], np.int64).reshape(-1) for name in ("camera", "frame"))
    if not len(points) == len(joints_mm) == len(camera_of) == len(frame_of):
        raise TrainingError(f"{table}: pose/2d, pose/3d, camera and frame differ in length; restore the file")
    athletes: list[Athlete] = []
    for number in np.unique(camera_of):
        rows = np.flatnonzero(camera_of == number)
        where = f"{table}, camera {number}"
        camera = fitted_camera(joints_mm[rows] / 1000, points[rows], SIZE_PX, lens=True, where=where)
        view = _View(table.parent, int(number), camera)
        last = -every
        for row in rows[np.argsort(frame_of[rows], kind="stable")]:
            if frame_of[row] - last >= every:
                last = int(frame_of[row])
                athletes.append(view.athlete(last, points[row], joints_mm[row] / 1000))
    return athletes


class _View:
    """One camera's pictures of a take."""

    def __init__(self, take: Path, number: int, camera: Camera) -> None:
        self.camera, self.number = camera, number
        self.group = f"h36m-g{take.parent.name}_{take.name.replace(' ', '_').replace('.', '_')}"
        self.pictures = take / "imageSequence" / str(number)
        self.video = next((p for p in (self.pictures.with_suffix(s) for s in (".mp4", ".avi")) if p.is_file()), None)
        if self.video is None and not self.pictures.is_dir():
            raise TrainingError(f"{self.pictures}: neither a folder of pictures nor a video; {LAYOUT}")

    def athlete(self, frame: int, points: NDArray[np.float32], joints_m: NDArray[np.float32]) -> Athlete:
        """The subject in frame number `frame`, counted from 1."""
        place = Frame(self.pictures / f"img_{frame:06d}.jpg") if self.video is None else Frame(self.video, frame - 1)
        every = np.ones(J, bool)
        key = f"{self.group}-{self.number}_{frame:06d}"
        return Athlete(key, place, "h36m", points, every, every, joints_m, self.camera)


def _ours(values: dict[str, Any], name: str, axes: int, table: Path) -> NDArray[np.float32]:
    poses = numbers(table, name, values[name], np.float32)
    if poses.ndim != 3 or poses.shape[1] not in (32, J) or poses.shape[2] != axes:
        raise TrainingError(f"{table}: {name} is {poses.shape}; expected (N, 32, {axes}) or (N, {J}, {axes})")
    return poses[:, list(OF_32)] if poses.shape[1] == 32 else poses


def _read_table(table: Path) -> dict[str, Any]:
    if table.suffix == ".npz":
        return read_npz(table, f"expected {', '.join(NAMES)}", NAMES)
    try:
        import h5py
    except ImportError:
        raise TrainingError(f'{table}: .h5 files need h5py; pip install "posecast[data]"') from None
    try:
        with h5py.File(table, "r") as file:
            return {name: np.asarray(file[name]) for name in NAMES}
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"{table}: no poses can be read ({error}); expected {', '.join(NAMES)}") from None
