"""Crops to learn from: the synthetic crops of `posecast synth`, seen again and again through another camera.

A stored crop was taken by a camera that looks straight at its centre. Each use turns it in the plane by any
angle, mirrors it half of the time, moves the camera so that the athlete stands off-axis as in a real picture,
and cuts it as the live tracker would. All of that is one homography for the picture, and the matching rotation
for the joints.
"""

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from engines.skeleton import J
from models.exportable import Normalise
from training import geometry as geo
from training import pictures
from training.errors import TrainingError

Array = NDArray[np.float32]

CROP_SIDE_PX: Final = 288
"""Side of a stored crop."""
BUFFER: Final = 1500
"""Samples shuffled at a time."""


class Crops(NamedTuple):
    """A batch of crops. Pixels count from the centre of the top-left pixel."""

    picture: torch.Tensor  # (B, H, W, 3) uint8 RGB
    joints_px: torch.Tensor  # (B, J, 2) in the picture
    weight: torch.Tensor  # (B, J) 1 where the joint lies in the picture
    keypoints: torch.Tensor  # (B, J, 2) exact, normalised as the contract says
    box: torch.Tensor  # (B, 3)
    joints: torch.Tensor  # (B, J, 3) root-relative, camera axes, metres


@dataclass(frozen=True)
class StoredCrop:
    """One sample as stored: JPEG, joints in the axes of the crop's own camera, that camera's focal length."""

    jpeg: bytes
    joints_cam_m: Array  # (J, 3) absolute
    focal_px: float
    side_px: int


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


def see(stored: StoredCrop, look: Look, height: int, width: int) -> tuple[Array, Array, Array, Array]:
    """The geometry of one look: homography crop_from_stored (3, 3) in pixels, joints in the picture (J, 2),
    box (3,), and root-relative joints (J, 3) in the axes of the camera that sees the crop off-axis."""
    turn = towards(look.bearing) @ geo.rotation(2, np.float32(look.roll_rad))
    joints = stored.joints_cam_m
    flip = np.eye(3, dtype=np.float32)
    if look.mirrored:
        joints, flip[0, 0] = geo.mirror(joints), -1
    joints = joints @ turn.T
    rays = geo.project(joints)
    centre, size = geo.keypoint_box(rays)
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
    return crop_from_stored, (rays - centre) * scale + middle, box, joints - joints[:1]


def cut(stored: StoredCrop, matrix: Array, height: int, width: int, border: int) -> NDArray[np.uint8]:
    """The picture (height, width, 3) RGB under a homography; decoded at half size where that is enough."""
    half = height <= 144
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


class CropBatches(IterableDataset[Crops]):
    """Endless batches from the shards of a folder, listed anew at each pass. `size` can be changed while
    workers run."""

    def __init__(self, folder: Path, batch: int, size: tuple[int, int], seed: int) -> None:
        self.folder, self.seed = folder, seed
        self._size = multiprocessing.get_context("fork").Array("i", [*size, batch])
        if not shards(folder):
            raise TrainingError(f"{folder}: no shards (*.tar); make them with `posecast synth crops --out {folder}`")

    def set_size(self, height: int, width: int, batch: int) -> None:
        """Size of pictures, and batches, from the next batch made on."""
        self._size[:] = [height, width, batch]

    def __iter__(self) -> Iterator[Crops]:
        cv2.setNumThreads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0, torch.initial_seed() % 2**31])
        pending: list[tuple[Any, ...]] = []
        size = tuple(self._size[:])
        for stored in self._samples(rng):
            pending.append(_augmented(rng, stored, size[0], size[1]))
            if len(pending) == size[2]:
                yield collate(pending)
                pending, size = [], tuple(self._size[:])

    def _samples(self, rng: np.random.Generator) -> Iterator[StoredCrop]:
        pool: list[StoredCrop] = []
        while True:
            files = shards(self.folder)
            for index in rng.permutation(len(files)):
                pool += read_crops(files[index], validation=False)
                while len(pool) > BUFFER:
                    at = int(rng.integers(len(pool)))
                    pool[at], pool[-1] = pool[-1], pool[at]
                    yield pool.pop()
            if len(pool) <= BUFFER:
                rng.shuffle(pool)  # type: ignore[arg-type]
                yield from pool
                pool = []


def shards(folder: Path) -> list[Path]:
    """Finished shards of a folder, in order of name."""
    return sorted(folder.glob("*.tar"))


def read_crops(shard: Path, validation: bool) -> list[StoredCrop]:
    """The samples of a shard that belong to one split."""
    from training.synth.shards import is_validation, read_shard

    out = []
    for key, jpeg, label in read_shard(shard):
        if is_validation(key) is validation:
            root = np.asarray(label["root_cam_m"], np.float32)
            joints = np.asarray(label["joints_cam_m"], np.float32).reshape(J, 3) + root
            out.append(StoredCrop(jpeg, joints, float(label["focal_crop_px"]), CROP_SIDE_PX))
    return out


def validation_crops(folder: Path, limit: int, height: int, width: int, seed: int = 4) -> Crops:
    """Up to `limit` held-out crops, each turned by a fixed random angle, cut without jitter or disturbance."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for file in shards(folder):
        for stored in read_crops(file, validation=True):
            look = random_look(rng)
            look = Look(look.roll_rad, False, look.bearing, 1.0, (0.0, 0.0))
            matrix, joints_px, box, joints = see(stored, look, height, width)
            rows.append((cut(stored, matrix, height, width, cv2.BORDER_REPLICATE), joints_px, box, joints))
            if len(rows) == limit:
                return collate(rows)
    if not rows:
        raise TrainingError(f"{folder}: no held-out crop yet; render more with `posecast synth crops`")
    return collate(rows)


def _augmented(rng: np.random.Generator, stored: StoredCrop, height: int, width: int) -> tuple[Any, ...]:
    matrix, joints_px, box, joints = see(stored, random_look(rng), height, width)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.5 else cv2.BORDER_REFLECT_101
    picture = pictures.disturb(rng, cut(stored, matrix, height, width, border))
    box = box * np.float32(np.exp(rng.normal(0, 0.1)))
    return picture, joints_px, box, joints


def collate(rows: list[tuple[Any, ...]]) -> Crops:
    """A batch from (picture, joints_px, box, joints) rows."""
    picture, joints_px, box, joints = (np.stack(column) for column in zip(*rows, strict=True))
    height, width = picture.shape[1:3]
    inside = ((joints_px > -0.5) & (joints_px < np.array([width, height]) - 0.5)).all(-1)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    keypoints = (joints_px - middle) / (height / 2)
    arrays = (joints_px, inside, keypoints, box, joints)
    return Crops(torch.from_numpy(picture), *(torch.from_numpy(np.asarray(x, np.float32)) for x in arrays))


def normalise_picture(picture: torch.Tensor) -> torch.Tensor:
    """uint8 (B, h, w, 3) to what the networks take, (B, 3, h, w), exactly as the exported networks do it
    inside."""
    return torch.as_tensor(Normalise().to(picture.device)(picture))


def loader(batches: IterableDataset[Any], workers: int) -> Iterator[Any]:
    """Batches made by `workers` processes (0: in this one)."""
    if workers == 0:
        return iter(batches)
    return iter(
        DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4, multiprocessing_context="fork")
    )
