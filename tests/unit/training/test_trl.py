"""The detector without labels: gravity's losses by hand, contrast, handing on, clips, and eight frames by heart."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.stn import STN
from models.trl import Decoder, Encoder, ResNet, compose
from training import checkpoint, flights, trl
from training.datasets import normalise_picture
from training.errors import TrainingError
from training.loop import Options, Trainer
from training.recipes import build
from training.recipes.track_trl import Settings, read_resnet18
from training.settings import Data, read_toml, typed

TINY = {
    "variant": "trl", "clips": "", "side": 64, "batch": 2, "depth": 18, "width": 8, "decoder_width": 16,
    "time_variant": 32, "time_invariant": 16, "workers": 0, "drawn": 3, "validation": 8,
}  # fmt: skip
NOWHERE = Data(Path("nowhere"), Path("nowhere"))


def boxes(x: torch.Tensor, y: torch.Tensor, size: float = 0.2) -> torch.Tensor:
    half = torch.full_like(x, size)
    return torch.stack([half, half, x, y], -1)


def fall(start: float, speed: float, acceleration: float, spacing: float = 1.0) -> torch.Tensor:
    t = torch.arange(4, dtype=torch.float64) * spacing
    return start + speed * t + acceleration / 2 * t**2


def test_gravity_is_zero_on_every_ballistic_track():
    for speed in (-0.2, 0.0, 0.3):
        y = fall(0.1, speed, 0.05)
        x = torch.linspace(-0.5, 0.5, 4, dtype=torch.float64)
        assert float(trl.gravity(boxes(x, y))) < 1e-9
    bent = fall(0.0, 0.1, 0.05)
    bent[3] += 0.02
    assert float(trl.gravity(boxes(torch.zeros(4, dtype=torch.float64), bent))) == pytest.approx(0.02)
    # Sideways it counts a tenth.
    assert float(trl.gravity(boxes(bent, torch.zeros(4, dtype=torch.float64)))) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("speed", "acceleration", "hinge", "order"),
    [
        (0.0, 0.0, 2 * 0.5 * 0.04, 3 * 0.015),  # at rest: both complain
        (-0.5, 0.04, 0.0, None),  # rising in free fall: the hinge is silent, the order of heights is not
        (0.5, 0.04, 0.0, 0.0),  # falling
        (0.5, 0.0, 2 * 0.5 * 0.04, 0.0),  # sinking at constant speed: the order of heights does not see it
        (0.5, 0.01, 2 * (0.02 - 0.01), 0.0),  # half of the expected acceleration is the bound
    ],
)
def test_the_hinge_asks_for_acceleration_and_the_order_for_descent(speed, acceleration, hinge, order):
    theta = boxes(torch.zeros(4, dtype=torch.float64), fall(0.0, speed, acceleration))
    expected = torch.tensor(0.04, dtype=torch.float64)
    assert float(trl.falling(theta, expected)) == pytest.approx(hinge, abs=1e-9)
    if order is None:
        assert float(trl.descending(theta)) > 1.0
    else:
        assert float(trl.descending(theta)) == pytest.approx(order, abs=1e-9)


def test_a_box_at_rest_satisfies_gravity_alone():
    rest = boxes(torch.zeros(1, 4), torch.zeros(1, 4))
    rising = boxes(torch.zeros(1, 4), fall(0.5, -0.5, 0.04).float()[None])
    expected, spacing = torch.tensor([0.04]), torch.tensor([5.0])
    loss = {
        order: [float(trl.track(theta, expected, spacing, 5.0, order, 1.0)) for theta in (rest, rising)]
        for order in ("none", "acceleration", "descent")
    }
    assert loss["none"] == pytest.approx([0, 0], abs=1e-6)
    assert loss["acceleration"][0] > 0.01 and loss["acceleration"][1] == pytest.approx(0, abs=1e-6)
    assert loss["descent"][1] > loss["descent"][0]


def test_spacing_does_not_change_what_a_fault_costs():
    # The same path with a wrong acceleration, seen every 3 and every 6 frames.
    costs = []
    for spacing in (3.0, 6.0):
        y = fall(0.0, 0.0, 0.0, spacing).float()[None]
        expected = torch.tensor([0.004 * spacing**2])
        costs.append(
            float(trl.track(boxes(torch.zeros(1, 4), y), expected, torch.tensor([spacing]), 3.0, "acceleration", 0))
        )
    assert costs[0] == pytest.approx(costs[1]) == pytest.approx(2 * 0.5 * 0.004 * 9)


def test_sizes_cost_their_changes():
    theta = boxes(torch.zeros(4), torch.zeros(4))
    theta[2, 0] += 0.1
    assert float(trl.steady_size(theta)) == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(("frames", "sign"), [(0, -1), (9, -1), (11, 1), (20, 1), (35, 1)])
def test_similarity_is_wanted_below_half_of_the_far_distance(frames, sign):
    vectors = torch.tensor([[[1.0, 0.2], [0.8, 0.5], [0.8, 0.5], [0.8, 0.5]]], requires_grad=True)
    time = torch.tensor([[50.0, 50 - frames, 50 + frames, 50.0 + frames]])
    loss = trl.contrast(vectors, time, 20.0)
    (gradient,) = torch.autograd.grad(loss, vectors)
    # Moving the second frame's vector towards the reference must raise the loss exactly when they are far apart.
    towards = vectors.detach()[0, 0] - vectors.detach()[0, 1]
    assert np.sign(float((gradient[0, 1] * towards).sum())) == sign


def test_the_regression_form_has_its_minimum_at_the_share_of_the_distance():
    a = torch.tensor([[1.0, 0.0]])
    half = torch.tensor([[0.5, 3**0.5 / 2]])
    assert float(trl.regressed_similarity(a, half, torch.tensor([10.0]), 20.0)) == pytest.approx(0, abs=1e-6)
    assert float(trl.regressed_similarity(a, a, torch.tensor([10.0]), 20.0)) == pytest.approx(0.5)


def test_time_invariant_vectors_go_to_other_frames_of_the_same_video():
    vectors = torch.arange(8.0).view(2, 4, 1)
    for shift in (1, 2, 3):
        handed = trl.swapped(vectors, shift)
        assert (handed != vectors).all()
        assert torch.equal(handed.sort(1).values, vectors)


def test_matching_takes_a_colour_cast_away():
    label = torch.rand(2, 3, 16, 16)
    assert torch.allclose(trl.matched(label * 0.3 + 2, label), label, atol=2e-3)
    assert not torch.allclose(trl.matched(label.flip(3), label), label, atol=0.1)


def test_the_prior_is_on_the_batch_mean():
    spread = torch.tensor([[0.2, 0.2, -0.5, 0.3], [0.6, 0.6, 0.5, -0.3]])
    assert float(trl.box_prior(spread, 0.4)) == pytest.approx(0)
    assert float(trl.box_prior(spread + 0.1, 0.4)) == pytest.approx(0.02)


def test_the_decoders_mask_ends_before_its_border_and_leaves_the_background_alone():
    torch.manual_seed(0)
    encoder, decoder = Encoder(18, 8, 12, 6), Decoder(32, 12, 6, 16).eval()
    crop = torch.randn(3, 3, 32, 32)
    colours, mask = decoder(*encoder(crop, crop))
    assert colours.shape == (3, 3, 32, 32) and mask.shape == (3, 1, 32, 32)
    border = torch.cat([mask[..., 0, :], mask[..., -1, :], mask[..., 0], mask[..., -1]], -1)
    assert border.abs().max() == 0 and mask.max() > 0.3
    theta = torch.tensor([[0.25, 0.5, 0.5, 0.0]]).expand(3, 4)
    background = torch.randn(3, 3, 64, 64)
    picture, placed = compose(colours, mask, theta, background)
    assert torch.equal(picture[..., :39], background[..., :39]) and placed[..., :39].abs().max() == 0
    assert not torch.allclose(picture[..., 40:56], background[..., 40:56], atol=0.1)


def test_resnet50_has_torchvisions_keys_and_sizes():
    keys = ResNet(50).state_dict()
    assert keys["layer1.0.conv3.weight"].shape == (256, 64, 1, 1)
    assert keys["layer4.2.bn3.running_var"].shape == (2048,) and keys["layer3.0.downsample.0.weight"].shape[0] == 1024
    assert {k for k in STN().state_dict() if k.startswith("layer")} == {
        k for k in ResNet(18).state_dict() if "layer" in k
    }


def test_a_drawn_flight_falls_as_it_says():
    clip = flights.drawn_clip(3, 64)
    assert np.array_equal(clip.frames, flights.drawn_clip(3, 64).frames)
    changed = np.abs(clip.frames.astype(int) - clip.background).max(-1) > 40
    for k in range(*clip.flight, 6):
        ys, xs = np.nonzero(changed[k])
        s_x, s_y, u_x, u_y = clip.theta[k]
        seen = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 32 - 1
        assert seen == pytest.approx(np.array([u_x - s_x, u_y - s_y, u_x + s_x, u_y + s_y]), abs=0.12)
    y = clip.theta[:, 3]
    fitted = np.polyfit(np.arange(len(y)), y, 2)[0] * 2
    assert fitted == pytest.approx(clip.gravity, rel=0.35) and clip.gravity > 0


def test_the_sampled_frames_have_the_wanted_distances():
    rng = np.random.default_rng(0)
    sampling = flights.Sampling((3, 8), 3, 20)
    for _ in range(200):
        times = flights.equal_times(rng, (5, 40), sampling)
        assert len(set(np.diff(times))) == 1 and 3 <= np.diff(times)[0] <= 8 and times[0] >= 5 and times[-1] < 40
        away = np.abs(np.diff(flights.contrast_times(rng, 60, sampling)[[0, 1, 0, 2, 0, 3]]))[::2]
        assert 1 <= away[0] <= 3 and 4 <= away[1] <= 19 and away[2] >= 20
    assert np.diff(flights.equal_times(rng, (0, 6), sampling)).tolist() == [1, 1, 1]


def test_backgrounds_leave_the_diver_out():
    frames = np.full((9, 8, 8, 3), 50, np.uint8)
    for k in range(9):
        frames[k, min(k, 7)] = 200
    assert (flights.median_background(frames) == 50).all()
    # In the first frame the diver is at the top, in the last at the bottom.
    assert (flights.half_background(frames) == 50).all()


def _video(path: Path, clip: flights.Clip) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=50, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for k in range(12):
            wide = np.repeat(clip.frames[3 * k], 2, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(wide, format="rgb24")))
        container.mux(stream.encode())


def test_videos_with_and_without_truth(tmp_path):
    clip = flights.drawn_clip(5, 64)
    _video(tmp_path / "a.mp4", clip)
    plain = flights.read_clips(tmp_path, 64, "median", 0.01)[0]
    assert plain.frames.shape == (12, 64, 64, 3) and plain.flight == (0, 12) and plain.gravity == 0.01
    assert np.abs(plain.frames[4].astype(int) - clip.frames[12]).mean() < 12
    # A camera at the height of the edge, 10 m away, that looks along y: world z is up, camera y is down.
    camera = [[1, 0, 0, 0], [0, 0, 1, -10], [0, -1, 0, 0], [0, 0, 0, 1]]
    joints = np.stack([np.linspace(40, 60, 17), np.linspace(10, 30, 17)], 1).tolist()
    row = {"joints_img_px": joints, "joints_world_m": [[0, 0, 0]] * 17}
    truth = {
        "size_px": [128, 64], "fps": 50, "camera_matrix_px": [[80, 0, 63.5], [0, 80, 31.5], [0, 0, 1]],
        "world_from_cam": camera, "frames": [{**row, "phase": "flight" if 2 <= k < 9 else "push"} for k in range(12)],
    }  # fmt: skip
    (tmp_path / "a.truth.json").write_text(json.dumps(truth))
    known = flights.read_clip(tmp_path / "a.mp4", 64, "median", 0.01)
    assert known.flight == (2, 9)
    # 9.81 m/s2 at 8 px a metre, 32 px a unit, 2500 frames squared a second squared.
    assert known.gravity == pytest.approx(9.81 * 8 / 32 / 2500)
    assert known.theta[0, 2:] == pytest.approx([(50.5 / 64) - 1, (20.5 / 32) - 1])
    assert known.theta[0, 0] < known.theta[0, 1]
    assert len(flights.frames_of([known], 5).picture) == 5
    with pytest.raises(TrainingError, match="no clip has truth"):
        flights.frames_of([plain])
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(TrainingError, match=r"b\.mp4: no video can be read"):
        flights.read_clips(tmp_path, 64, "median", 0.01)


def test_eight_frames_are_explained_by_more_than_their_background(monkeypatch):
    """Before a dark wall, from which the figure stands out; painted places are for hours of training."""
    wall = np.tile(np.array([20, 20, 24], np.uint8), (256, 256, 1))
    monkeypatch.setattr(flights, "canvases", lambda seed: (wall,))
    torch.manual_seed(0)
    recipe = build("track", TINY | {"side": 32, "width": 8}, NOWHERE, seed=1)
    batch = recipe.flights.make(0, 2, contrast=False)
    picture = normalise_picture(batch.picture.flatten(0, 1))
    empty = normalise_picture(batch.background).repeat_interleave(4, 0)
    background_alone = float(trl.mean_square(trl.matched(empty, picture), picture))
    optimiser = torch.optim.Adam(recipe.modules.parameters(), lr=2e-3)
    for _ in range(80):
        parts = recipe.losses(batch, 0.0)
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
    assert float(parts["colour"].detach()) < 0.5 * background_alone


def test_the_stages_follow_one_another_and_resume(tmp_path):
    recipe = build("track", TINY | {"locked_at": 0.5}, NOWHERE, seed=1)
    first = recipe.losses(recipe.batch(0, 0.0), 0.0)
    second = recipe.losses(recipe.batch(1, 0.6), 0.6)
    assert "track" in first and "contrast" not in first and "contrast" in second and "track" not in second
    off = build("track", TINY | {"gravity": False}, NOWHERE, seed=1)
    assert "track" not in off.losses(off.batch(0, 0.0), 0.0)
    Trainer(recipe, Options(out=tmp_path, steps=2, warmup_steps=1)).run()
    again = Trainer(
        build("track", TINY | {"locked_at": 0.5}, NOWHERE, seed=1), Options(out=tmp_path, steps=3, resume=True)
    )
    assert again.run()["windows"] == 8
    assert checkpoint.read_header(tmp_path / checkpoint.LAST)["step"] == 3


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"order": "up"}, "acceleration, descent"),
        ({"side": 50}, "multiple of 32"),
        ({"gravty": 1}, "did you mean gravity"),
    ],
)
def test_wrong_settings_are_one_line(table, match):
    with pytest.raises(TrainingError, match=match):
        build("track", TINY | table, NOWHERE, seed=1)


def test_an_unknown_variant_is_refused():
    with pytest.raises(TrainingError, match="supervised, trl"):
        build("track", {"variant": "tlr"}, NOWHERE, seed=1)


@pytest.mark.parametrize("name", ["track_trl", "track_trl_gpu"])
def test_configurations_are_valid(name):
    tables = read_toml(Path(__file__).parents[3] / "configs" / "train" / f"{name}.toml")
    typed(Options, {**tables["loop"], "out": Path("x")}, name)
    assert typed(Settings, tables["recipe"], name).variant == "trl"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_users_resnet18_starts_detector_and_feature_term(tmp_path, suffix):
    state = {key: value.contiguous() for key, value in ResNet(18).state_dict().items()}
    state["fc.weight"] = torch.zeros(1000, 512)
    file = tmp_path / f"resnet18{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    recipe = build("track", TINY | {"imagenet_resnet18": str(file)}, NOWHERE, seed=1)
    assert torch.equal(recipe.modules["stn"].layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert torch.equal(recipe.imagenet.layer3[0].conv1.weight, state["layer3.0.conv1.weight"])
    assert torch.isfinite(recipe.losses(recipe.batch(0, 0.0), 0.0)["features"])


def test_a_file_that_is_no_resnet18_is_one_line(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"junk")
    with pytest.raises(TrainingError, match=r"a\.pth"):
        read_resnet18(tmp_path / "a.pth")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(TrainingError, match="ResNet18 file"):
        build("track", TINY | {"imagenet_resnet18": str(tmp_path / "b.safetensors")}, NOWHERE, seed=1)
