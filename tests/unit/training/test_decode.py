"""`decode`: all tasks are learned, the trunk stays, the null condition and the honest spread do what they are for."""

import numpy as np
import pytest
import torch

from engines.contracts import MODALITY_2D, MODALITY_IMAGE
from engines.skeleton import PELVIS, J
from models.decoders import DiffusionDecoder
from models.sampler import Sampler
from training import checkpoint, export, metrics
from training.loop import Average, Options, Trainer
from training.recipes import build

ALONE = {"batch": 8, "dives": 0, "stills": 20, "validation": 6, "pictures": 0, "encoder": "mlp", "solid_share": 1.0}
SMALL = {"mlp_hidden": 64, "diffusion_hidden": 128}
WITH_PICTURES = {**ALONE, **SMALL, "pictures": 4, "workers": 0, "working_px": (64, 48)}
FEW = 5
"""Diffusion times are drawn at random: five steps tell more than one."""

pytestmark = pytest.mark.usefixtures("small_encoders")


def test_eight_poses_are_decoded_from_both_embeddings(data, overfit):
    torch.manual_seed(0)
    recipe = build("decode", {**ALONE, **SMALL, "encoder_rate": 1.0}, data, seed=1)
    first, last = overfit(recipe, recipe.batch(0, 0.0), 120, lr=2e-3, over=FEW)
    assert last["lift_m"] < 0.3 * first["lift_m"] and last["joints_m"] < 0.3 * first["joints_m"]
    assert last["contrast"] < 0.7 * first["contrast"]
    assert last["score"] < 0.8 * first["score"]


def test_poses_and_keypoints_are_decoded_from_pictures_and_the_trunk_stays(data, overfit):
    torch.manual_seed(0)
    recipe = build("decode", {**WITH_PICTURES, "encoder_rate": 1.0}, data, seed=1)
    before = {k: v.clone() for k, v in recipe.modules["hrnet"].state_dict().items()}
    first, last = overfit(recipe, recipe.batch(0, 0.0), 40, over=FEW)
    assert last["keypoints"] < 0.5 * first["keypoints"]
    assert last["joints_m"] < 0.6 * first["joints_m"]
    after = recipe.modules["hrnet"].state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if not k.startswith("embed."))
    assert not torch.equal(before["embed.weight"], after["embed.weight"])


def test_photographs_teach_no_joints(data):
    recipe = build("decode", WITH_PICTURES, data, seed=1)
    batch = recipe.batch(0, 0.0)
    crops = batch.pictures.crops
    metric = torch.tensor([1.0, 1.0, 1.0, 0.0])
    joints = crops.joints.clone()
    values = []
    for absurd in (0.0, 100.0):
        joints[3] = absurd
        pictures = batch.pictures._replace(crops=crops._replace(metric=metric, joints=joints.clone()))
        torch.manual_seed(0)
        values.append(recipe.losses(batch._replace(pictures=pictures), 0.0)["loss"].item())
    assert values[0] == values[1]


def test_the_null_condition_is_zero_and_as_frequent_as_wanted():
    torch.manual_seed(0)
    condition = DiffusionDecoder(hidden=64, condition_dropout=0.1).condition
    inputs = (torch.randn(4000, 1024), torch.zeros(4000, dtype=torch.int64), torch.rand(4000, 3))
    dropped = (condition.train()(*inputs) == 0).all(1).float().mean().item()
    assert dropped == pytest.approx(0.1, abs=0.02)
    assert not (condition.eval()(*inputs) == 0).all(1).any()


def test_without_a_condition_every_embedding_gives_the_same_prior():
    torch.manual_seed(0)
    denoiser = DiffusionDecoder(hidden=64).eval()
    x, t = torch.randn(1, 51).expand(2, 51), torch.full((2,), 0.5)
    told = denoiser(
        x, t, denoiser.condition(torch.randn(2, 1024), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3))
    )
    prior = denoiser(x, t, torch.zeros(2, 64))
    assert torch.allclose(prior[0], prior[1], atol=1e-6) and (told[0] - told[1]).abs().max() > 1e-3


def test_the_average_follows_slowly_and_keeps_what_is_frozen(data):
    modules = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2)})
    average = Average(modules, 0.9)
    start = modules["a"].weight.detach().clone()
    with torch.no_grad():
        modules["a"].weight.add_(1.0)
    average.update(modules, step=1000)
    assert torch.allclose(average.modules["a"].weight, start + 0.1)
    assert torch.equal(average.modules["a"].bias, modules["a"].bias)


def test_factors_are_fitted_stored_and_folded_into_the_sampler(data, tmp_path):
    trainer = Trainer(build("decode", WITH_PICTURES, data, seed=1), Options(out=tmp_path / "decode", steps=1))
    figures = trainer.run()
    assert {"lift_ece", "lift_ece_raw", "image_ece", "auto_ece", "image_mpjpe_mm"} <= set(figures)
    factors = np.array(checkpoint.read_header(tmp_path / "decode" / checkpoint.LAST)["inflation"])
    assert factors.shape == (3, J) and (factors[:, PELVIS] == 1).all() and (factors[:, 1:] != 1).any()
    for network in ("pose2d_encoder", "mlp_decoder", "diffusion_decoder", "hrnet_w18_small_v2"):
        run = export.run_of(network, tmp_path)
        model, header = export.load_model(network, run)
        assert header["recipe"] == "decode"
        inside = "hrnet" if network.startswith("hrnet") else network
        theirs = trainer.average.modules[inside].state_dict()
        assert all(torch.equal(theirs[k].cpu(), v) for k, v in model.state_dict().items())


def test_a_run_without_pictures_leaves_hrnet_to_the_backbone(data, tmp_path):
    Trainer(build("decode", {**ALONE, **SMALL}, data, seed=1), Options(out=tmp_path / "decode", steps=1)).run()
    tiny = {"sizes": [[1.0, 64, 48, 2]], "workers": 0, "validation": 3}
    assert export.run_of("hrnet_w18_small_v2", tmp_path) is None
    Trainer(build("backbone", tiny, data, seed=1), Options(out=tmp_path / "backbone", steps=1)).run()
    assert export.run_of("hrnet_w18_small_v2", tmp_path).parent.name == "backbone"
    assert export.run_of("mlp_decoder", tmp_path).parent.name == "decode"


def test_inflation_spreads_hypotheses_about_their_mean_by_modality():
    torch.manual_seed(0)
    denoiser = DiffusionDecoder(hidden=64)
    inputs = (torch.randn(2, 1024), torch.tensor([MODALITY_IMAGE, MODALITY_2D]), torch.tensor([[0.2, -0.1, 0.2]] * 2))
    noise = torch.randn(2, 6, J * 3)
    factors = torch.ones(3, J)
    factors[MODALITY_2D, 5] = 2.0
    plain, spread = Sampler(denoiser, 4)(*inputs, noise), Sampler(denoiser, 4, inflation=factors)(*inputs, noise)
    assert torch.allclose(plain.mean(1), spread.mean(1), atol=1e-5)
    assert torch.allclose(plain[0], spread[0], atol=1e-6)
    centred, wider = (x[1] - x[1].mean(0) for x in (plain, spread))
    assert torch.allclose(wider[:, 5], 2 * centred[:, 5], atol=1e-5)
    others = [j for j in range(J) if j != 5]
    assert torch.allclose(wider[:, others], centred[:, others], atol=1e-5)
    with pytest.raises(ValueError, match="inflation must have the shape"):
        Sampler(denoiser, 4, inflation=torch.ones(J))


def test_fitted_factors_make_hypotheses_honest():
    rng = np.random.default_rng(0)
    truth = np.zeros((400, J, 3))
    centre = rng.normal(0, 0.06, (400, 1, J, 3))  # the error is three times the spread of the hypotheses
    samples = centre + rng.normal(0, 0.02, (400, 10, J, 3))
    samples[:, :, PELVIS] = 0
    factor = metrics.fit_inflation(samples[::2], truth[::2])
    assert factor[5] == pytest.approx(3.0, rel=0.35)
    before = metrics.ece(samples[1::2], truth[1::2])
    after = metrics.ece(metrics.inflate(samples[1::2], factor), truth[1::2])
    assert before > 0.25 and after < 0.1
