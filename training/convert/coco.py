"""COCO person keypoints as training shards (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014).

Layout: `annotations/person_keypoints_SPLIT.json` beside the pictures in `SPLIT/` or `images/SPLIT/`.
Shoulders, elbows, wrists, hips, knees and ankles have counterparts; pelvis and thorax are the middles of hips and
shoulders. Our nose joint lies at the base of the skull and our head joint in the head, so that COCO's nose, eyes and
ears are no counterparts; nor has the spine one.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.skeleton import JOINT_NAMES, J
from training.convert.crop import Athlete, Frame
from training.convert.run import DataSet
from training.errors import TrainingError

NAMES: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""Order of the keypoints in the files."""
SAME: Final = tuple(name for name in NAMES if name in JOINT_NAMES and name != "nose")
MIDDLES: Final = {"pelvis": ("left_hip", "right_hip"), "thorax": ("left_shoulder", "right_shoulder")}
LEAST_KEYPOINTS: Final = 8
LEAST_BOX_PX: Final = 48.0
"""People whose box is lower and narrower than this are left out: nothing of their limbs can be seen."""
LAYOUT: Final = "expected annotations/person_keypoints_SPLIT.json beside SPLIT/*.jpg (or images/SPLIT/*.jpg)"


def to_skeleton(keypoints: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Our joints (17, 2), labelled (17), visible (17) from 17 x (x, y, v); v: 0 not labelled, 1 hidden, 2 visible."""
    rows = np.asarray(keypoints, np.float32).reshape(J, 3)
    points, labelled, visible = np.zeros((J, 2), np.float32), np.zeros(J, bool), np.zeros(J, bool)
    for joint, parts in {**{name: (name,) for name in SAME}, **MIDDLES}.items():
        chosen = rows[[NAMES.index(part) for part in parts]]
        place = JOINT_NAMES.index(joint)
        if (chosen[:, 2] > 0).all():
            points[place], labelled[place] = chosen[:, :2].mean(0), True
            visible[place] = (chosen[:, 2] > 1).all()
    return points, labelled, visible


def read(folder: Path, split: str = "train2017") -> DataSet:
    """Everybody of a split with enough keypoints, crowds left out; TrainingError where the layout is another."""
    table = folder / "annotations" / f"person_keypoints_{split}.json"
    pictures = next((place for place in (folder / split, folder / "images" / split) if place.is_dir()), None)
    if pictures is None or not table.is_file():
        missing = table if pictures is not None else folder / split
        raise TrainingError(f"{missing}: not there; {LAYOUT}, or name another --split")
    try:
        content = json.loads(table.read_text())
        _check_order(content["categories"], table)
        files = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
        rows = sorted(content["annotations"], key=lambda row: (int(row["image_id"]), int(row["id"])))
        athletes = [_athlete(pictures, files, row) for row in rows if _wanted(row)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TrainingError(f"{table}: not COCO's person keypoints ({reason}); restore the file") from None
    return DataSet("coco", folder, athletes, [table], {"source": "coco", "split": split})


def _check_order(categories: list[dict[str, Any]], table: Path) -> None:
    order = next((tuple(c["keypoints"]) for c in categories if c.get("name") == "person"), None)
    if order != NAMES:
        raise TrainingError(f"{table}: keypoints of the category person are {order}; expected {', '.join(NAMES)}")


def _wanted(row: dict[str, Any]) -> bool:
    enough = int(row.get("num_keypoints", 0)) >= LEAST_KEYPOINTS
    return enough and not row.get("iscrowd") and max(row["bbox"][2:4]) >= LEAST_BOX_PX


def _athlete(pictures: Path, files: dict[int, str], row: dict[str, Any]) -> Athlete:
    image = int(row["image_id"])
    name = files[image]
    if Path(name).name != name:
        raise ValueError(f"file name {name!r} leaves the folder")
    return Athlete(
        f"coco-g{image:012d}-{int(row['id'])}", Frame(pictures / name), "coco", *to_skeleton(row["keypoints"])
    )
