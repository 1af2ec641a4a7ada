"""Photographs with 14 joints (the layout of Leeds Sports Pose Extended crops) as training shards.

Layout: `crops/*.jpg` beside `joints.npz` with `filename` (N), `joints` (N, 14, 3: x, y in pixels, 1 where labelled)
and `joint_names` (14). Neck and head top have no exact counterpart in our skeleton: the neck stands for the
thorax, and the head joint, which lies 5 to 8 cm below the crown, is put a quarter of the way from crown to neck.
Johnson and Everingham, "Learning Effective Human Pose Estimation from Inaccurate Annotation", CVPR 2011.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, J
from training.errors import TrainingError
from training.synth.shards import write_shard

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
SHARE: Final = 0.6
"""Share of the stored square that the box of the joints fills."""
LARGEST_PX: Final = 288
PER_SHARD: Final = 1000
LAYOUT: Final = "expected crops/*.jpg beside joints.npz with filename (N), joints (N,14,3), joint_names (14)"


@dataclass(frozen=True)
class Photo:
    """One labelled photograph: picture's path, joints (17, 2) in its pixels, which of them are labelled (17)."""

    path: Path
    joints_px: Array
    labelled: NDArray[np.bool_]


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


def read(folder: Path) -> list[Photo]:
    """Every photograph of a folder; TrainingError where the layout is another."""
    table = folder / "joints.npz"
    try:
        with np.load(table, allow_pickle=False) as file:
            names, joints = [str(name) for name in file["filename"]], np.asarray(file["joints"], np.float32)
            order = tuple(str(name) for name in file["joint_names"]) if "joint_names" in file else ()
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"{folder}: no photographs with joints here ({error}); {LAYOUT}") from None
    if joints.ndim != 3 or joints.shape[1:] != (14, 3) or len(names) != len(joints):
        raise TrainingError(f"{table}: joints are {joints.shape} for {len(names)} names; {LAYOUT}")
    if order and order != NAMES:
        raise TrainingError(f"{table}: joint_names are {', '.join(order)}; expected {', '.join(NAMES)}")
    photos = []
    for name, row in zip(names, joints, strict=True):
        if Path(name).name != name:
            raise TrainingError(f"{table}: file name {name!r} leaves the folder crops/")
        photos.append(Photo(folder / "crops" / name, *to_skeleton(row)))
    return photos


def square(picture: NDArray[np.uint8], photo: Photo) -> tuple[NDArray[np.uint8], Array]:
    """The square around the labelled joints, border replicated, at most 288 px and never enlarged; joints in it."""
    points = photo.joints_px[photo.labelled]
    low, high = points.min(0), points.max(0)
    side = float(max((high - low).max() / SHARE, 16.0))
    corner = (low + high) / 2 - side / 2
    target = min(LARGEST_PX, round(side))
    scale = target / side
    matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = cv2.warpAffine(picture, matrix, (target, target), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    joints = (photo.joints_px - corner) * scale
    joints[~photo.labelled] = 0
    return np.asarray(out, np.uint8), joints.astype(np.float32)


def samples(photos: list[Photo]) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Shard samples of photographs with at least four labelled joints."""
    for photo in photos:
        if photo.labelled.sum() < 4:
            continue
        picture = cv2.imread(str(photo.path))
        if picture is None:
            raise TrainingError(f"{photo.path}: no picture can be read here; restore the file or drop its row")
        out, joints = square(np.asarray(picture, np.uint8), photo)
        label = {
            "joints_crop_px": np.round(joints.astype(float), 2).tolist(),
            "labelled": photo.labelled.astype(int).tolist(),
            "visible": photo.labelled.astype(int).tolist(),
            "side_px": len(out),
            "source": "photo",
        }
        yield photo_key(photo.path.name), bytes(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]), label


def convert(folder: Path, out: Path) -> int:
    """Writes every photograph of `folder` to shards in `out`; finished shards are kept. Returns how many there are."""
    photos = read(folder)
    for number, start in enumerate(range(0, len(photos), PER_SHARD)):
        shard = out / f"photos-{number:05d}.tar"
        if not shard.exists():
            write_shard(shard, samples(photos[start : start + PER_SHARD]))
    return len(photos)
