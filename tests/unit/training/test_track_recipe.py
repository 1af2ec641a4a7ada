"""Recipe `track`: it learns eight windows by heart, its presence is calibrated, its votes point at the centre."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.stn import STN, Found
from training.recipes import build
from training.recipes.track import box_figures, presence_calibration, votes_loss
from training.scenes import Scenes
from training.settings import Data


def test_eight_windows_are_learned_by_heart(data, monkeypatch):
    torch.manual_seed(0)
    recipe = build("track", {"batch": 8, "workers": 0, "validation": 8}, data, seed=1)
    full = recipe.windows.make(0, 8)
    small = F.interpolate(full.picture.permute(0, 3, 1, 2).float(), size=64, mode="area")
    batch = full._replace(picture=small.permute(0, 2, 3, 1).round().to(torch.uint8))
    optimiser = torch.optim.AdamW(recipe.modules.parameters(), lr=1e-3)
    for step in range(60):
        parts = recipe.losses(batch, 0.5)
        if step == 0:
            first = {key: float(value.detach()) for key, value in parts.items()}
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
    assert first["presence"] == pytest.approx(math.log(2), rel=0.5)
    assert parts["presence"] < 0.1 and parts["giou"] < 0.35 * first["giou"], {
        k: float(v.detach()) for k, v in parts.items()
    }


def test_votes_cost_least_at_the_centre():
    theta = torch.tensor([[0.2, 0.2, -0.25, 0.5]])  # on a 4x4 grid: between columns 1 and 2's left, row 2.5
    votes = torch.full((1, 4, 4), -20.0)
    right, wrong = votes.clone(), votes.clone()
    right[0, 2:4, 1] = 0.0
    wrong[0, 0, 0] = 0.0
    losses = [float(votes_loss(Found(theta, theta[:, :1], v), theta)) for v in (right, wrong)]
    # Column (1 - 0.25) / 2 * 4 - 0.5 = 1 exactly, rows 2 and 3 a half each: the entropy of a fair coin.
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4) and losses[1] == pytest.approx(20.0, abs=0.1)


def test_calibration_finds_the_scale_and_shift_that_made_the_labels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 1, generator=generator) * 4
    truth = (torch.rand(20000, 1, generator=generator) < torch.sigmoid(0.4 * logits - 0.7)).float()
    scale, shift = presence_calibration(logits, truth).tolist()
    assert scale == pytest.approx(0.4, abs=0.03) and shift == pytest.approx(-0.7, abs=0.06)


@pytest.mark.parametrize("labels", [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
def test_calibration_stays_finite_where_nothing_is_wrong(labels):
    scale, shift = presence_calibration(torch.tensor([[3.0], [2.0], [-2.0], [-4.0]]), torch.tensor(labels)[:, None])
    assert 0.05 - 1e-6 <= scale < 5 and abs(shift) < 10


def test_validation_calibrates_the_network_that_is_exported(data):
    recipe = build("track", {"batch": 4, "workers": 0, "validation": 8}, data, seed=1)
    recipe.validate(recipe.modules)
    stn = recipe.modules["stn"]
    assert isinstance(stn, STN)
    assert stn.calibration.tolist() == pytest.approx(recipe.header["presence_calibration"], abs=1e-4)
    assert stn.calibration.tolist() != [1.0, 0.0]


def test_box_figures_leave_out_what_is_in_doubt():
    theta = np.tile(np.array([0.2, 0.2, 0.0, 0.0], np.float32), (4, 1))
    truth = torch.from_numpy(theta.copy())
    truth[1, 2] = 0.2  # shifted by half its width: a third in common
    flags = [torch.tensor(v)[:, None] for v in ([1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0], [1.0] * 4)]
    scenes = Scenes(torch.zeros(4, 8, 8, 3, dtype=torch.uint8), truth, *flags)
    figures = box_figures(theta, np.array([[0.9], [0.2], [0.9], [0.1]]), scenes)
    assert figures["iou_mean"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-5)
    assert figures["iou_over_50"] == 50 and figures["absent_recognised"] == 100
    assert figures["presence_accuracy"] == pytest.approx(200 / 3)


def test_the_whole_material_is_used_in_its_shares(data):
    recipe = build("track", {"workers": 0, "validation": 8}, data, seed=1)
    assert [folder.name for folder in recipe.folders] == ["scenes", "crops"]
    assert recipe.windows.shares.sum() == pytest.approx(1)
    assert isinstance(data, Data)
