"""The subject detector and its crop: start of training, bounds, inverse warp, differentiability."""

import math

import pytest
import torch

from models.stn import (
    STN,
    border_taper,
    crop_from_window,
    cut_crop,
    load_imagenet,
    paste_crop,
    window_from_crop,
)

torch.set_num_threads(1)


def test_training_starts_with_one_centred_box_whatever_the_picture():
    model = STN().eval()
    theta, presence = model(torch.randn(3, 3, 128, 128))
    assert torch.allclose(theta, torch.tensor([[0.7, 0.7, 0.0, 0.0]]).expand(3, 4), atol=1e-6)
    assert presence.shape == (3, 1)


def test_rotation_starts_upright_and_reaches_the_full_circle():
    model = STN(rotation=True).eval()
    theta, _ = model(torch.randn(1, 3, 128, 128))
    assert theta.shape == (1, 5)
    assert theta[0, 4].item() == pytest.approx(0.0)
    with torch.no_grad():
        model.box.bias[4:] = torch.tensor([-2.0, -0.1])
    theta, _ = model(torch.randn(1, 3, 128, 128))
    assert theta[0, 4].item() == pytest.approx(math.atan2(-0.1, -2.0))


def test_boxes_stay_within_the_bounds_and_presence_reaches_the_trunk():
    model = STN(s_min=0.05, s_max=0.9, border=0.8)
    torch.nn.init.normal_(model.box.weight, std=100.0)
    torch.nn.init.normal_(model.vote.weight, std=100.0)
    theta, presence = model(torch.randn(4, 3, 96, 96))
    assert theta[:, :2].min() >= 0.05 and theta[:, :2].max() <= 0.9 + 1e-6
    assert theta[:, 2:].abs().max() <= 0.8
    presence.sum().backward()
    assert model.conv1.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="initial_size"):
        STN(s_min=0.8)


def test_the_box_is_where_the_votes_are():
    model = STN().eval()
    picture = torch.zeros(1, 3, 128, 128)
    strongest = torch.zeros(1, 96, 16, 16)
    strongest[:, 0, 4, 11] = 200.0  # row 4, column 11
    model.grid = torch.nn.Identity()
    model.lateral2.register_forward_hook(lambda *_: strongest)
    for lateral in (model.lateral3, model.lateral4):
        torch.nn.init.zeros_(lateral.weight)
    with torch.no_grad():
        model.vote.weight[0, 0] = 1.0
        theta = model.detect(picture).theta
    assert theta[0].tolist() == pytest.approx([0.7, 0.7, 23 / 16 - 1, 9 / 16 - 1], abs=1e-4)


def test_bounds_and_calibration_travel_with_the_weights():
    source, model = STN(s_min=0.05, s_max=0.9, border=0.8, initial_size=0.3), STN()
    with torch.no_grad():
        source.calibration.copy_(torch.tensor([0.5, -1.0]))
    model.load_state_dict(source.state_dict())
    picture = torch.randn(2, 3, 64, 64)
    source.eval(), model.eval()
    assert torch.equal(source(picture)[0], model(picture)[0])
    assert torch.allclose(model(picture)[1], 0.5 * model.detect(picture).presence - 1.0)


def test_a_resnet18_file_loads_into_the_trunk_and_others_are_refused():
    source, model = STN(), STN(rotation=True)
    trunk = {k: v for k, v in source.state_dict().items() if k.startswith(("conv1.", "bn1.", "layer"))}
    trunk["fc.weight"] = torch.zeros(1000, 512)
    untouched = load_imagenet(model, trunk)
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    own = {"lateral2", "lateral3", "lateral4", "grid", "vote", "box", "presence", "bounds", "calibration"}
    assert {key.split(".")[0] for key in untouched} == own
    assert "layer2.0.downsample.0.weight" in trunk
    del trunk["layer3.1.bn2.running_mean"]
    with pytest.raises(ValueError, match=r"layer3\.1\.bn2\.running_mean"):
        load_imagenet(model, trunk)


@pytest.mark.parametrize("rotation", [False, True])
def test_the_inverse_matrix_undoes_the_crop(rotation):
    theta = torch.tensor([[0.3, 0.6, -0.2, 0.4, 1.1], [0.9, 0.1, 0.5, 0.0, -2.5]])[:, : 5 if rotation else 4]
    last = torch.tensor([0.0, 0.0, 1.0]).expand(2, 1, 3)
    there = torch.cat([window_from_crop(theta), last], dim=1)
    back = torch.cat([crop_from_window(theta), last], dim=1)
    assert torch.allclose(there @ back, torch.eye(3).expand(2, 3, 3), atol=1e-5)
    if not rotation:
        expected = torch.tensor([[1 / 0.3, 0.0, 0.2 / 0.3], [0.0, 1 / 0.6, -0.4 / 0.6]])
        assert torch.allclose(crop_from_window(theta)[0], expected, atol=1e-5)


def test_cutting_finds_the_box_and_pasting_puts_it_back():
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    smooth = torch.stack([torch.sin(rows / 19), torch.cos(columns / 23), rows * columns / 128**2])[None]
    theta = torch.tensor([[0.25, 0.5, 0.3, -0.2]])
    crop = cut_crop(smooth, theta, 64, 32)
    # Crop's middle lies at window (0.3, -0.2), that is column 63.5 + 0.3*64, row 63.5 - 0.2*64.
    assert crop[0, 0, 31:33].mean().item() == pytest.approx(math.sin((63.5 - 12.8) / 19), abs=0.01)
    assert crop[0, 1, :, 15:17].mean().item() == pytest.approx(math.cos((63.5 + 19.2) / 23), abs=0.01)
    pasted = paste_crop(crop, theta, 128, 128)
    inside = (slice(None), slice(None), slice(24, 78), slice(70, 96))
    assert torch.allclose(pasted[inside], smooth[inside], atol=0.02)
    assert pasted[..., :15, :].abs().max() == 0
    assert pasted[..., :60].abs().max() == 0


def test_the_box_moves_towards_a_bright_subject_by_gradient_descent():
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    window = torch.exp(-((columns - 0.4) ** 2 + (rows + 0.3) ** 2) / 0.08)[None, None]
    taper = border_taper(32, 32)
    theta = torch.tensor([[0.5, 0.5, 0.0, 0.0]], requires_grad=True)
    for _ in range(60):
        rendered = paste_crop(taper[None, None], theta, 64, 64)
        loss = (rendered - window).square().mean()
        (gradient,) = torch.autograd.grad(loss, theta)
        theta = (theta - 2.0 * gradient).detach().requires_grad_(True)
    assert theta[0, 2].item() == pytest.approx(0.4, abs=0.05)
    assert theta[0, 3].item() == pytest.approx(-0.3, abs=0.05)


def test_the_taper_is_one_in_the_middle_and_zero_on_the_border():
    taper = border_taper(65, 33)
    assert taper[32, 16].item() == pytest.approx(1.0)
    border = torch.cat([taper[0], taper[-1], taper[:, 0], taper[:, -1]])
    assert border.abs().max() == 0
    assert torch.isfinite(taper).all()
    assert (taper[1:33, 16] - taper[0:32, 16]).min() >= 0
