"""Crops to learn from: shards of synthetic athletes and of photographs, seen again and again through another camera.

A stored crop was taken by a camera that looks straight at its centre. Each use turns it in the plane by any
angle, mirrors it half of the time, moves the camera so that the athlete stands off-axis as in a real picture,
and cuts it as the live tracker would. All of that is one homography for the picture, and the matching rotation
for the joints. A photograph without 3D truth is the same with its labelled joints in one plane.

Batch number k of a seed is a function of (seed, k) alone, so a run that goes on from a checkpoint sees what an
unbroken one would have seen.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.skeleton import MIRROR, J
from models.exportable import Normalise
from training import geometry as geo
from training import pictures
from training.errors import TrainingError
from training.synth.shards import ShardIndex

Array = NDArray[np.float32]

CROP_SIDE_PX: Final = 288
"""Side of a stored crop that names none."""
PLANE_FOCAL_SIDES: Final = 4.0
"""Focal length, in sides of the crop, given to a photograph whose camera is not known."""
HALF_ENOUGH_PX: Final = 250
"""From this side on, a JPEG decoded at half size is sharp enough for small pictures."""
BORDERS: Final = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)
"""What lies beyond a stored crop: black, as beyond the live picture, or more of the same."""
ALL_LABELLED: Final = np.ones(J, bool)


class Crops(NamedTuple):
    """A batch of crops. Pixels count from the centre of the top-left pixel."""

    picture: torch.Tensor  # (B, H, W, 3) uint8 RGB
    joints_px: torch.Tensor  # (B, J, 2) in the picture
    weight: torch.Tensor  # (B, J) 1 where the joint is labelled and lies in the picture
    keypoints: torch.Tensor  # (B, J, 2) exact, normalised as the contract says
    box: torch.Tensor  # (B, 3)
    joints: torch.Tensor  # (B, J, 3) root-relative, camera axes, metres; without meaning where metric is 0
    metric: torch.Tensor  # (B,) 1 where 3D truth exists, 0 for photographs


@dataclass(frozen=True)
class StoredCrop:
    """One sample as stored: JPEG, joints in the axes of the crop's own camera, that camera's focal length.

    Without `metric` truth the joints lie at depth 1 m, each on its ray.
    """

    jpeg: bytes
    joints_cam_m: Array  # (J, 3) absolute
    focal_px: float
    side_px: int
    labelled: NDArray[np.bool_] = field(default_factory=ALL_LABELLED.copy)  # (J,)
    metric: bool = True


@dataclass(frozen=True)
class Look:
    """How a stored crop is seen this time: angles in radians, bearing of the new crop's centre in focal
    lengths."""

    roll_rad: float
    mirrored: bool
    bearing: tuple[float, float]
    zoom: float
    shift: tuple[float, float]


def random_look(rng: np.random.Generator, full_circle: float = 0.7) -> Look:
    """A random look; a share `full_circle` turned by any angle, the others by about ten degrees."""
    roll = rng.uniform(-np.pi, np.pi) if rng.random() < full_circle else rng.normal(0, 0.17)
    wide = rng.random() < 0.25
    zoom = rng.uniform(0.75, 1.5) if wide else float(np.exp(rng.normal(0.02, 0.09)))
    spread = 0.07 if wide else 0.035
    bearing = tuple(rng.uniform(-1, 1, 2) * rng.choice([0.12, 0.35]) * np.array([1.0, 0.6]))
    return Look(float(roll), bool(rng.random() < 0.5), bearing, zoom, tuple(rng.normal(0, spread, 2)))


def plain_look() -> Look:
    """The stored view, cut exactly as the tracker's rule says; for validation."""
    return Look(0.0, False, (0.0, 0.0), 1.0, (0.0, 0.0))


def towards(bearing: tuple[float, float]) -> Array:
    """The smallest rotation that takes the optical axis to the ray (x, y, 1)."""
    ray = np.array([*bearing, 1.0])
    ray /= np.linalg.norm(ray)
    axis = np.array([-ray[1], ray[0], 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + ray[2]), np.float32)


class Seen(NamedTuple):
    """One look at a stored crop: the homography `crop_from_stored` (3, 3) in pixels, joints in the picture (J, 2),
    which of them are labelled (J,), the box (3,), and root-relative joints (J, 3) in the axes of the camera that
    sees the crop off-axis."""

    crop_from_stored: Array
    joints_px: Array
    labelled: NDArray[np.bool_]
    box: Array
    joints_m: Array


def see(stored: StoredCrop, look: Look, height: int, width: int) -> Seen:
    """The geometry of one look."""
    turn = towards(look.bearing) @ geo.rotation(2, np.float32(look.roll_rad))
    joints = stored.joints_cam_m
    flip = np.eye(3, dtype=np.float32)
    known = stored.labelled
    if look.mirrored:
        joints, flip[0, 0], known = geo.mirror(joints), -1, known[list(MIRROR)]
    joints = joints @ turn.T
    rays = geo.project(joints)
    centre, size = geo.keypoint_box(rays[known])
    side = float(geo.crop_height(size)) * look.zoom
    centre = centre + np.array(look.shift) * side
    scale = height / side
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    crop_from_ray = np.array(
        [[scale, 0, middle[0] - scale * centre[0]], [0, scale, middle[1] - scale * centre[1]], [0, 0, 1]]
    )
    stored_middle = (stored.side_px - 1) / 2
    ray_from_stored = np.array([[1, 0, -stored_middle], [0, 1, -stored_middle], [0, 0, stored.focal_px]])
    crop_from_stored = crop_from_ray @ turn @ flip @ ray_from_stored
    box = np.array([*centre, side], np.float32)
    return Seen(crop_from_stored, (rays - centre) * scale + middle, known, box, joints - joints[:1])


def cut(stored: StoredCrop, matrix: Array, height: int, width: int, border: int) -> NDArray[np.uint8]:
    """The picture (height, width, 3) RGB under a homography; decoded at half size where that is enough."""
    half = height <= 144 and stored.side_px >= HALF_ENOUGH_PX
    flag = cv2.IMREAD_REDUCED_COLOR_2 if half else cv2.IMREAD_COLOR
    bgr = cv2.imdecode(np.frombuffer(stored.jpeg, np.uint8), flag)
    if bgr is None:
        raise TrainingError("a stored crop is no JPEG: render the shard again with `posecast synth`")
    if half:
        # The centre of a pixel of half size lies between two: u_full = 2 u + 1/2.
        matrix = matrix @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    return np.asarray(
        cv2.warpPerspective(bgr[..., ::-1], matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
    )


class CropPool:
    """The crops of one split of a folder of shards, each read from its place in the file when wanted."""

    def __init__(self, folder: Path, validation: bool) -> None:
        self.folder = folder
        self._index = ShardIndex(shards(folder), validation, stored_crop)
        if not len(self):
            raise TrainingError(
                f"{folder}: no crops of this split (*.tar); make them with `posecast synth crops` or `posecast data`"
            )

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> StoredCrop:
        return replace(self._index.labels[index], jpeg=self._index.jpeg(index))


def stored_crop(label: dict[str, Any]) -> StoredCrop:
    """A sample by its label, without the JPEG; where 3D truth is missing, each joint lies at depth 1 m on its ray.

    The arrays are small: the lists of floats of a hundred thousand labels would fill memory.
    """
    side = int(label.get("side_px", CROP_SIDE_PX))
    labelled = np.asarray(label["labelled"], bool).reshape(J) if "labelled" in label else ALL_LABELLED
    if "joints_cam_m" in label:
        joints, root = (np.asarray(label[name], np.float32) for name in ("joints_cam_m", "root_cam_m"))
        return StoredCrop(b"", joints.reshape(J, 3) + root.reshape(3), float(label["focal_crop_px"]), side, labelled)
    focal = PLANE_FOCAL_SIDES * side
    rays = (np.asarray(label["joints_crop_px"], np.float32).reshape(J, 2) - (side - 1) / 2) / focal
    joints = np.concatenate([rays, np.ones((J, 1), np.float32)], 1)
    return StoredCrop(b"", joints, focal, side, labelled, metric=False)


@dataclass(frozen=True)
class Mixture:
    """Batches drawn from several pools of crops, each with its share; `make(step, size)` is batch number `step`."""

    pools: tuple[CropPool, ...]
    shares: tuple[float, ...]
    seed: int

    def make(self, step: int, size: tuple[int, int, int]) -> Crops:
        """Batch number `step` of pictures `size` = height, width, number."""
        height, width, count = size
        rng = np.random.default_rng([self.seed, step])
        counts = rng.multinomial(count, np.array(self.shares) / sum(self.shares))
        rows = [
            _augmented(rng, pool[int(rng.integers(len(pool)))], height, width)
            for pool, n in zip(self.pools, counts, strict=True)
            for _ in range(n)
        ]
        return collate(rows)


def shards(folder: Path) -> list[Path]:
    """Finished shards of a folder, in order of name."""
    return sorted(folder.glob("*.tar"))


def validation_crops(folder: Path, limit: int, height: int, width: int, seed: int = 4, turned: bool = True) -> Crops:
    """Up to `limit` held-out crops, cut without jitter or disturbance; `turned` each by a fixed random angle."""
    pool = CropPool(folder, validation=True)
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for index in rng.permutation(len(pool))[:limit]:
        stored, look = pool[int(index)], random_look(rng)
        look = Look(look.roll_rad, False, look.bearing, 1.0, (0.0, 0.0)) if turned else plain_look()
        seen = see(stored, look, height, width)
        rows.append((cut(stored, seen.crop_from_stored, height, width, cv2.BORDER_CONSTANT), *_row(stored, seen)))
    return collate(rows)


def _row(stored: StoredCrop, seen: Seen) -> tuple[Any, ...]:
    return seen.joints_px, seen.labelled, seen.box, seen.joints_m, stored.metric


def _augmented(rng: np.random.Generator, stored: StoredCrop, height: int, width: int) -> tuple[Any, ...]:
    seen = see(stored, random_look(rng), height, width)
    border = int(rng.choice(BORDERS))
    picture = pictures.disturb(rng, cut(stored, seen.crop_from_stored, height, width, border))
    seen = seen._replace(box=seen.box * np.float32(np.exp(rng.normal(0, 0.1))))
    return picture, *_row(stored, seen)


def collate(rows: list[tuple[Any, ...]]) -> Crops:
    """A batch from (picture, joints_px, labelled, box, joints, metric) rows."""
    picture, joints_px, labelled, box, joints, metric = (np.stack(column) for column in zip(*rows, strict=True))
    height, width = picture.shape[1:3]
    inside = ((joints_px > -0.5) & (joints_px < np.array([width, height]) - 0.5)).all(-1)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    keypoints = (joints_px - middle) / (height / 2)
    arrays = (joints_px, inside & labelled, keypoints, box, joints, metric)
    return Crops(torch.from_numpy(picture), *(torch.from_numpy(np.asarray(x, np.float32)) for x in arrays))


def normalise_picture(picture: torch.Tensor) -> torch.Tensor:
    """uint8 (B, h, w, 3) to what the networks take, (B, 3, h, w), exactly as the exported networks do it
    inside."""
    return torch.as_tensor(Normalise().to(picture.device)(picture))
