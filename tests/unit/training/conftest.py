"""Small material for training tests: motion capture of random poses, and shards of drawn athletes."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engines.skeleton import BONES
from models.pose_encoder import MLPPoseEncoder2D, MLPPoseEncoder3D
from training.recipes import align
from training.settings import Data
from training.synth.motion import sample_random
from training.synth.shards import is_validation, write_shard


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def small_encoders(monkeypatch):
    """The pose encoders `mlp` of the recipes, narrow and of one block."""
    narrow = (partial(MLPPoseEncoder2D, width=64, blocks=1), partial(MLPPoseEncoder3D, width=64, blocks=1))
    monkeypatch.setitem(align.ENCODERS, "mlp", narrow)


@pytest.fixture
def overfit():
    """Trains a recipe on one batch; returns its losses in the first and the last `over` steps (their means)."""

    def train(recipe, batch, steps, lr=1e-3, over=1):
        groups = [{**g, "lr": lr * g.get("factor", 1.0)} for g in recipe.parameter_groups()]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        every = []
        for _ in range(steps):
            parts = recipe.losses(batch, 0.0)
            optimiser.zero_grad()
            parts["loss"].backward()
            optimiser.step()
            every.append({k: v.detach().item() for k, v in parts.items()})
        ends = every[:over], every[-over:]
        return tuple({k: float(np.mean([parts[k] for parts in end])) for k in every[0]} for end in ends)

    return train


def _mocap(folder: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"clip{i}" for i in range(12)]
    key = sample_random(rng, 24).joints_m.reshape(12, 2, 17, 3)
    share = np.linspace(0, 1, 40)[None, :, None, None]
    pos = (key[:, :1] * (1 - share) + key[:, 1:] * share).reshape(-1, 17, 3) + np.array([0, 0, 1])
    folder.mkdir()
    np.savez(
        folder / "small.npz", pos17=pos.astype(np.float32), ok=np.ones(len(pos), bool), fps=30,
        name=names, start=40 * np.arange(12), length=np.full(12, 40),
    )  # fmt: skip


def _figure(rng: np.random.Generator, side: int) -> tuple[bytes, np.ndarray, np.ndarray, np.ndarray]:
    joints = sample_random(rng, 1).joints_m[0] @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T
    root = np.array([0.0, 0.0, 8.0])
    points = (joints + root)[:, :2] / (joints + root)[:, 2:] * 700 + (side - 1) / 2
    picture = rng.integers(0, 120, (side, side, 3), dtype=np.uint8)
    for a, b in BONES:
        cv2.line(picture, points[a].astype(int).tolist(), points[b].astype(int).tolist(), (230, 200, 180), 9)
    return cv2.imencode(".jpg", picture)[1].tobytes(), joints, root, points


def _keys() -> list[str]:
    """Keys of two training groups and one for validation."""
    groups = [f"s1-g{i:06d}" for i in range(60)]
    held_out = [g for g in groups if is_validation(f"{g}-00")][:1]
    return [f"{g}-{i:02d}" for g in [g for g in groups if g not in held_out][:2] + held_out for i in range(4)]


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Data:
    root = tmp_path_factory.mktemp("data")
    _mocap(root / "mocap")
    rng = np.random.default_rng(1)
    crops, scenes = [], []
    for key in _keys():
        jpeg, joints, root_cam, points = _figure(rng, 288)
        label = {"joints_cam_m": (joints - joints[0]).tolist(), "root_cam_m": root_cam.tolist(), "focal_crop_px": 700.0}
        label["box_crop_px"] = np.concatenate([points.min(0), points.max(0)]).tolist()
        crops.append((key, jpeg, label))
        jpeg, _, _, points = _figure(rng, 256)
        box = np.concatenate([points.min(0), points.max(0)]) / 128 - 1
        there = int(not key.endswith("3"))
        scenes.append((key, jpeg, {"present": there, "box": box.tolist() if there else None}))
    write_shard(root / "crops" / "crops-s1-00000.tar", crops)
    write_shard(root / "scenes" / "scenes-s1-00000.tar", scenes)
    return Data(root, root / "mocap")
