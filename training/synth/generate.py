"""Training samples: crops of one athlete with 2D and 3D joints, and scenes with a box for the tracker.

Every sample depends on (kind, seed, group, place in the group) alone. A group is ten pictures of one body in five
poses.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from training.synth import backgrounds, motion, panorama
from training.synth.body import MESH_COARSE, Body, load
from training.synth.camera import Camera, around, filling
from training.synth.look import random_look
from training.synth.render import Layer, Renderer, mask_box, visible
from training.synth.retarget import turns_from_joints
from training.synth.shards import write_shard

Array = npt.NDArray[Any]
Sample = tuple[str, bytes, dict[str, Any]]
Panoramas = tuple[panorama.Panorama, ...]
Kind = Literal["crops", "scenes"]

CROP_SIDE_PX: Final = 288
SCENE_SIDE_PX: Final = 256
PER_SHARD: Final = 1000
POSES: Final = 5
VIEWS: Final = 2
PER_GROUP: Final = POSES * VIEWS
SHOWCASE_SEED: Final = 7001
"""Seed of the dive shown with the program; refused for training so that the shown dive was never trained on."""

_KIND_NUMBER: Final = {"crops": 1, "scenes": 2}


class SeedError(ValueError):
    """The seed is reserved."""


@dataclass(frozen=True)
class Job:
    """What to render: `kind`, `seed`, how many samples, where, and motion capture folder if any."""

    kind: Kind
    seed: int
    count: int
    out: Path
    mocap: Path | None = None
    hdri: Path | None = None

    def __post_init__(self) -> None:
        if self.seed == SHOWCASE_SEED:
            raise SeedError(f"seed {self.seed}: reserved for the sample dive; choose another")

    @property
    def shards(self) -> int:
        """Number of shards, the last one possibly short."""
        return -(-self.count // PER_SHARD)

    def path(self, shard: int) -> Path:
        """Where shard number `shard` lies."""
        return self.out / f"{self.kind}-s{self.seed}-{shard:05d}.tar"


@functools.lru_cache(maxsize=1)
def _renderer() -> Renderer:
    return Renderer(load(MESH_COARSE), (CROP_SIDE_PX, CROP_SIDE_PX), samples=4)


@functools.lru_cache(maxsize=1)
def _mocap(folder: Path) -> motion.Mocap:
    return motion.read_mocap(folder)


def _poses(rng: np.random.Generator, mocap: motion.Mocap | None, count: int) -> motion.PoseSample:
    """A mixture of sources: with recordings 45 % of them, 25 % random, 30 % dives; without, half random half dives."""
    shares = (0.45, 0.25, 0.30) if mocap is not None else (0.0, 0.5, 0.5)
    parts = []
    for number in rng.multinomial(1, shares, size=count).argmax(1):
        if number == 0 and mocap is not None:
            parts.append(motion.sample_mocap(mocap, rng, 1))
        else:
            parts.append((motion.sample_random if number == 1 else motion.sample_dive)(rng, 1))
    return motion.PoseSample(
        np.concatenate([part.joints_m for part in parts]),
        np.concatenate([part.plantar_rad for part in parts]),
        [source for part in parts for source in part.source],
    )


@dataclass(frozen=True)
class _Posed:
    body: Body
    vertices_m: Array
    joints_m: Array
    source: str


def _posed_group(rng: np.random.Generator, mocap: motion.Mocap | None, count: int) -> Iterator[_Posed]:
    model = load(MESH_COARSE)
    body = model.athlete(rng)
    poses = _poses(rng, mocap, count)
    yaw = np.clip(rng.normal(0, 0.35, count), -0.9, 0.9)
    turns = turns_from_joints(model, body, poses.joints_m, yaw, poses.plantar_rad)
    vertices, joints = model.posed(body, turns)
    for k in range(count):
        turn = motion.orientation(rng)
        yield _Posed(body, vertices[k] @ turn.T, joints[k] @ turn.T, poses.source[k])


def _rng(kind: Kind, seed: int, group: int) -> np.random.Generator:
    return np.random.default_rng([_KIND_NUMBER[kind], seed, group])


def _jpg(rng: np.random.Generator, image: Array) -> bytes:
    quality = int(rng.integers(70, 95))
    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _rounded(values: Array, digits: int) -> Any:
    return np.round(np.asarray(values, float), digits).tolist()


def _view(rng: np.random.Generator, posed: _Posed, side: int, share: float) -> Camera:
    distance = float(np.exp(rng.uniform(np.log(5.0), np.log(40.0))))
    return filling(around(rng, np.zeros(3), distance, (side, side)), posed.vertices_m, share)


def crop_label(layer: Layer, camera: Camera, joints_world_m: Array) -> dict[str, Any] | None:
    """The label of one crop (see `training/synth/README.md`), None when nothing of the body was drawn."""
    box = mask_box(layer.mask)
    if box is None:
        return None
    cam = camera.to_cam(joints_world_m)
    pixels = camera.project(cam)
    return {
        "joints_crop_px": _rounded(pixels, 2),
        "visible": visible(layer, pixels, cam[:, 2]).astype(int).tolist(),
        "joints_cam_m": _rounded(cam - cam[0], 4),
        "root_cam_m": _rounded(cam[0], 4),
        "focal_crop_px": float(camera.matrix_px[0, 0]),
        "box_crop_px": _rounded(box, 1),
        "up_cam": _rounded(camera.world_from_cam[2, :3], 5),
    }


def _occlude(rng: np.random.Generator, image: Array, label: dict[str, Any]) -> Array:
    """Cover a random part of the picture; joints under it are no longer visible."""
    cover = image.astype(np.float32)
    backgrounds.scatter(rng, cover, float(rng.uniform(0.06, 0.16)) * len(image))
    changed = np.abs(cover - image).max(-1) > 1
    pixels = np.rint(label["joints_crop_px"]).astype(int).clip(0, len(image) - 1)
    label["visible"] = [int(v and not changed[y, x]) for v, (x, y) in zip(label["visible"], pixels, strict=True)]
    return cover.astype(np.uint8)


def crop_group(seed: int, group: int, mocap: motion.Mocap | None, panoramas: Panoramas = ()) -> list[Sample]:
    """The ten crops of one group."""
    rng = _rng("crops", seed, group)
    canvases = [backgrounds.canvas(rng, panoramas) for _ in range(3)]
    samples: list[Sample] = []
    for posed in _posed_group(rng, mocap, POSES):
        for _ in range(VIEWS):
            camera = _view(rng, posed, CROP_SIDE_PX, float(rng.uniform(0.55, 0.65)))
            canvas = canvases[int(rng.integers(3))]
            light = canvas.lighting(rng, camera)
            layer = _renderer().draw(posed.body, posed.vertices_m, random_look(rng), light, camera)
            label = crop_label(layer, camera, posed.joints_m)
            image = layer.over(backgrounds.window(rng, canvas.image, CROP_SIDE_PX))
            if label is None:
                raise RuntimeError(f"group {group}: the camera missed the body; report this seed: {seed}")
            if rng.random() < 0.12:
                image = _occlude(rng, image, label)
            label |= {"seed": seed, "source": posed.source, "stature_m": round(posed.body.stature_m, 3)}
            key = f"s{seed}-g{group:06d}-{len(samples):02d}"
            samples.append((key, _jpg(rng, backgrounds.degraded(rng, image)), label))
    return samples


def _placed(rng: np.random.Generator, camera: Camera, share: float) -> Camera:
    """`camera` with its centred picture moved so that a box of `share` of the side lies anywhere in the frame."""
    side = camera.size_px[0]
    reach = (side - share * side) / 2
    if rng.random() < 0.12:
        reach = min(reach + 0.25 * share * side, side / 2)
    matrix = camera.matrix_px.copy()
    matrix[:2, 2] += rng.uniform(-reach, reach, 2)
    return dataclasses.replace(camera, matrix_px=matrix)


def _share(rng: np.random.Generator) -> float:
    """The subject's share of the picture's side: any octave from 6 % to 90 % alike, and large ones once more."""
    if rng.random() < 0.3:
        return float(rng.uniform(0.4, 0.92))
    return float(np.exp(rng.uniform(np.log(0.06), np.log(0.90))))


def scene_group(seed: int, group: int, mocap: motion.Mocap | None, panoramas: Panoramas = ()) -> list[Sample]:
    """Ten tracker pictures of one group: mostly one subject anywhere, sometimes a smaller bystander, or nobody."""
    rng = _rng("scenes", seed, group)
    canvases = [backgrounds.canvas(rng, panoramas) for _ in range(4)]
    everyone = list(_posed_group(rng, mocap, POSES))
    bystanders = list(_posed_group(rng, mocap, 2))
    samples: list[Sample] = []
    for place in range(PER_GROUP):
        canvas = canvases[int(rng.integers(4))]
        image = backgrounds.window(rng, canvas.image, SCENE_SIDE_PX)
        share = _share(rng)
        label: dict[str, Any] = {"present": 0, "box": None, "box_px": None, "seed": seed, "source": "none"}
        if rng.random() > 0.12:
            if rng.random() < 0.25:
                image, _, _ = _add_person(
                    rng, image, canvas, bystanders[int(rng.integers(2))], share * rng.uniform(0.3, 0.6)
                )
            subject = everyone[place // VIEWS]
            image, box, pixels = _add_person(rng, image, canvas, subject, share)
            if box is not None:
                norm = 2 * (box + 0.5) / SCENE_SIDE_PX - 1
                label |= {"present": 1, "box": _rounded(norm, 5), "box_px": _rounded(box, 1)}
                label |= {"joints_px": _rounded(pixels, 2), "source": subject.source}
        samples.append((f"s{seed}-g{group:06d}-{place:02d}", _jpg(rng, backgrounds.degraded(rng, image)), label))
    return samples


def _add_person(
    rng: np.random.Generator, image: Array, canvas: backgrounds.Canvas, posed: _Posed, share: float
) -> tuple[Array, Array | None, Array]:
    camera = _placed(rng, _view(rng, posed, SCENE_SIDE_PX, share), share)
    light = canvas.lighting(rng, camera)
    layer = _renderer().draw(posed.body, posed.vertices_m, random_look(rng), light, camera)
    pixels = camera.project(camera.to_cam(posed.joints_m))
    return layer.over(image), mask_box(layer.mask), pixels


def samples(job: Job, shard: int) -> Iterator[Sample]:
    """The samples of one shard of `job`."""
    start, stop = shard * PER_SHARD, min((shard + 1) * PER_SHARD, job.count)
    mocap = _mocap(job.mocap) if job.mocap is not None else None
    panoramas = panorama.read(job.hdri) if job.hdri is not None else ()
    make = crop_group if job.kind == "crops" else scene_group
    for group in range(start // PER_GROUP, -(-stop // PER_GROUP)):
        yield from make(job.seed, group, mocap, panoramas)[: stop - group * PER_GROUP]


_count: Any = None
"""The pool's shared counter of finished samples, set in each worker."""


def _start_worker(counter: Any) -> None:
    global _count
    _count = counter
    cv2.setNumThreads(1)
    import torch

    torch.set_num_threads(1)


def _add_to_counter() -> None:
    with _count.get_lock():
        _count.value += 1


def _render_shard(job: Job, shard: int, done: Callable[[], None] = _add_to_counter) -> int:
    def counted() -> Iterator[Sample]:
        for sample in samples(job, shard):
            done()
            yield sample

    return write_shard(job.path(shard), counted())


def run(job: Job, workers: int, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
    """Render what is missing of `job`; returns (shards kept, shards rendered).

    One worker renders in this process, several in processes of their own. `progress` is told the number of samples
    finished, kept ones included.
    """
    missing = [shard for shard in range(job.shards) if not job.path(shard).exists()]
    finished = sum(min(PER_SHARD, job.count - s * PER_SHARD) for s in range(job.shards) if s not in missing)
    # One thread a process: the processes are the parallelism.
    for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if workers > 1 and len(missing) > 1:
        _run_pool(job, missing, min(workers, len(missing)), lambda more: progress(finished + more))
        return job.shards - len(missing), len(missing)
    counter = itertools.count(finished + 1)
    for shard in missing:
        _render_shard(job, shard, lambda: progress(next(counter)))
    return job.shards - len(missing), len(missing)


def _run_pool(job: Job, missing: list[int], workers: int, progress: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with context.Pool(workers, _start_worker, (counter,)) as pool:
        tasks = [pool.apply_async(_render_shard, (job, shard)) for shard in missing]
        for task in tasks:
            while True:
                try:
                    task.get(0.5)
                    break
                except multiprocessing.TimeoutError:
                    progress(counter.value)
    progress(counter.value)
