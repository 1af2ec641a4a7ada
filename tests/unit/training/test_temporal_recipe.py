"""The recipe `temporal`: split by subject, batches from seed and step, three modes with shared weights, learning."""

import numpy as np
import pytest
import torch

from engines.contracts import FEATURE, LOOKAHEADS, WINDOW
from models.temporal import MPM
from training import losses
from training.poses import held_out, mocap_clips, subject
from training.recipes import build
from training.recipes.temporal import Lift, Rebuild, frame_weights, lift, mixed
from training.sequences import Windows, sample_windows, trunk_axes, with_limbs_of

TINY = {
    "pretrain_batch": 2, "lengths": [[0.6, 9, 8], [1.0, 27, 4]], "fuse": 0.25, "denoise": 0.25,
    "dives": 1, "validation": 2, "decoder": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def recipe(data):
    return build("temporal", TINY, data, seed=1)


def test_all_clips_of_a_subject_are_on_one_side_and_flips_are_held_out():
    assert subject("cmu_49_08") == "cmu_49" and subject("acrnn_martial_03") == "acrnn_martial"
    assert subject("clip7") == "clip7"
    assert held_out("cmu_49_06") and held_out("cmu_88_08") and not held_out("cmu_01_01") and not held_out("dm_roll")
    # Of unknown recordings, a tenth of the subjects.
    sides = [held_out(f"anna{i}_trial") for i in range(1000)]
    assert 60 < sum(sides) < 140
    assert all(held_out(f"anna{i}_{t}") is sides[i] for i in range(50) for t in ("a", "b"))


def test_a_seventh_of_the_recordings_is_held_out(shared):
    clips = mocap_clips(shared / "mocap")
    frames = {side: sum(len(c.joints_world_m) for c in clips if held_out(c.name) is side) for side in (True, False)}
    assert 0.10 < frames[True] / sum(frames.values()) < 0.15
    sides = [{subject(c.name) for c in clips if held_out(c.name) is side} for side in (True, False)]
    assert not sides[0] & sides[1]


def test_a_batch_depends_on_seed_and_step_alone(recipe, data):
    first, again = recipe.batch(7, 0.5), build("temporal", TINY, data, seed=1).batch(7, 0.55)
    assert torch.equal(first.windows.keypoints, again.windows.keypoints)
    assert torch.equal(first.decoded, again.decoded) and torch.equal(first.lookahead, again.lookahead)
    other = recipe.batch(8, 0.5)
    assert not torch.equal(first.windows.joints, other.windows.joints)


def test_stage_one_alternates_between_flat_and_deep_and_masks_the_stated_share(recipe):
    flat, deep, tube = (recipe.batch(step, 0.0) for step in (0, 1, 8))
    assert flat.pose.shape[-1] == 2 and deep.pose.shape[-1] == 3 and isinstance(flat, Rebuild)
    assert deep.visible.shape == (2, 98) and (deep.joints_masked.sum(-1) == 5).all()
    assert tube.visible.shape == (2, WINDOW)
    part = recipe.losses(deep, 0.0)
    assert part["loss"] == part["rebuilt_3d"] and part["rebuilt_2d"] == 0


def test_the_modes_of_a_batch_share_it_as_set(recipe):
    batch = recipe.batch(3, 0.5)
    assert isinstance(batch, Lift) and batch.windows.seen.shape == (8, 9)
    assert len(batch.decoded) == 4 and int(batch.denoise) == 2
    assert recipe.batch(3, 0.9).windows.seen.shape == (4, 27)
    inside = [LOOKAHEADS[i] for i in batch.lookahead.tolist()]
    if int(batch.after) == 0:
        assert max(inside) < 9


def test_every_mode_is_what_the_network_does_live(recipe):
    mpm = recipe.modules["pretraining"].mpm.eval()
    for parameter in (mpm.mode, mpm.sequence_head.linear.weight):
        torch.nn.init.normal_(parameter)
    batch = recipe.batch(3, 0.5)
    batch = batch._replace(after=torch.tensor(0))
    w = batch.windows
    use_2d, use_3d = torch.ones(8, 9), torch.zeros(8, 9)
    use_2d[6:], use_3d[4:] = 0, 1
    deep = torch.cat([torch.zeros_like(batch.decoded), batch.decoded])
    gone = torch.cat([torch.zeros_like(batch.decoded_missing), batch.decoded_missing])
    with torch.no_grad():
        inputs = (w.keypoints, w.missing, deep, gone, use_2d, use_3d, w.box)
        features = mpm.fuse_frame(*(x.flatten(0, 1) for x in inputs)).unflatten(0, (8, 9))
        ring, seen = torch.zeros(8, WINDOW, FEATURE), torch.zeros(8, WINDOW)
        ring[:, -9:], seen[:, -9:] = features, w.seen
        live = mpm.window(ring, seen, batch.lookahead)[:, -9:]
        trained = mixed(mpm, batch)
    assert (trained - live).abs().max() < 1e-4
    assert (trained[:4] - lift(mpm, Windows(*(x[:4] for x in w)), batch.lookahead[:4])).abs().max() < 1e-5


def test_a_short_window_equals_a_full_one_whose_older_frames_are_unseen(recipe):
    mpm = recipe.modules["pretraining"].mpm.eval()
    windows = recipe.held_out.noisy
    seen = windows.seen.clone()
    seen[:, :-27] = 0
    lookahead = torch.tensor([1, 5])
    with torch.no_grad():
        short = lift(mpm, Windows(*(x[:, -27:] for x in windows._replace(seen=seen))), lookahead)
        features = mpm.encode_frame(*(x.flatten(0, 1) for x in (windows.keypoints, windows.missing, windows.box)))
        full = mpm.window(features.unflatten(0, (2, WINDOW)), seen, lookahead)[:, -27:]
    assert (short - full).abs().max() < 1e-4


def test_frame_weights_peak_at_the_wanted_frame():
    weights = frame_weights(torch.tensor([0, 5]), 81)
    assert weights.argmax(1).tolist() == [80, 80 - 13]
    assert weights.max() == 1 and weights.min() > 0.19
    assert frame_weights(torch.tensor([7]), 27, after=108).argmax(1).item() == 26 - 13


def test_exact_windows_project_onto_their_keypoints(recipe):
    windows = sample_windows(np.random.default_rng(2), recipe.bank, 2, 30, clean=True)
    assert windows.missing.max() == 0 and windows.seen.min() == 1
    rays = windows.keypoints * windows.box[..., None, 2:] / 2 + windows.box[..., None, :2]
    root = rays[..., :1, :]
    # One unknown a frame: the depth of the root. The nearest body of that shape explains every ray.
    joints = windows.joints
    best = torch.full(joints.shape[:2], torch.inf)
    for depth in torch.exp(torch.linspace(0.7, 4.6, 800)):
        points = torch.cat([root, torch.ones_like(root[..., :1])], -1) * depth + joints
        best = torch.minimum(best, (points[..., :2] / points[..., 2:] - rays).norm(dim=-1).amax(-1))
    assert (best / windows.box[..., 2]).max() < 0.01


def test_borrowed_limbs_keep_their_bones_and_their_place_at_the_trunk():
    rng = np.random.default_rng(0)
    motion, other = (rng.normal(0, 0.4, (5, 17, 3)).astype(np.float32) for _ in range(2))
    mixed_legs = with_limbs_of(motion, other, arms=False)
    assert np.array_equal(mixed_legs[:, 7:], motion[:, 7:]) and np.array_equal(mixed_legs[:, 0], motion[:, 0])
    for a, b in ((1, 2), (2, 3), (4, 5), (5, 6)):
        lengths = [np.linalg.norm(m[:, a] - m[:, b], axis=-1) for m in (mixed_legs, other)]
        assert lengths[0] == pytest.approx(lengths[1], abs=1e-5)
    assert with_limbs_of(motion, motion, arms=True) == pytest.approx(motion, abs=1e-5)
    axes = trunk_axes(motion[:, 1], motion[:, 7])
    assert axes @ np.swapaxes(axes, 1, 2) == pytest.approx(np.tile(np.eye(3), (5, 1, 1)), abs=1e-5)
    assert np.linalg.det(axes) == pytest.approx(np.ones(5), abs=1e-5)


def test_eight_windows_are_learned_by_heart(recipe):
    torch.manual_seed(0)
    mpm = MPM(frames=27, layers=1, dim=64, ffn=64, heads=2, hidden=64, mlp_dropout=0.0, dropout=0.0)
    windows = sample_windows(np.random.default_rng(3), recipe.bank, 8, 9, clean=True)
    lookahead = torch.zeros(8, dtype=torch.int64)
    optimiser = torch.optim.AdamW(mpm.parameters(), lr=4e-3, weight_decay=0.0)
    first = None
    for _ in range(120):
        loss = losses.euclid(lift(mpm.train(), windows, lookahead), windows.joints)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert first > 0.2
    assert loss.item() < 0.06


def test_a_run_of_keypoints_alone_needs_no_poses_of_a_decoder(data):
    alone = build("temporal", TINY | {"fuse": 0.0, "denoise": 0.0, "decoder": "weights"}, data, seed=1)
    batch = alone.batch(0, 1.0)
    assert isinstance(batch, Lift) and len(batch.decoded) == 0
    assert torch.isfinite(alone.losses(batch, 1.0)["loss"])
    assert set(alone.shipped()) == {"temporal_frame", "temporal_window"}
