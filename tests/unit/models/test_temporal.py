"""The temporal model: counts of the paper, masking, streaming, causality, the strided skip."""

import pytest
import torch

from engines.contracts import LOOKAHEADS
from engines.skeleton import PELVIS
from models.temporal import MPM, STRIDES
from models.view import NUMBERS, from_view, keypoints_in_view, view_of

torch.set_num_threads(1)


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def small(frames=27, **options):
    torch.manual_seed(1)
    model = MPM(frames=frames, layers=2, dim=32, ffn=64, heads=4, hidden=48, **options)
    with torch.no_grad():
        for parameter in (model.missing_2d, model.missing_3d, model.mode, model.sequence_head.linear.weight):
            parameter.normal_()
    return model


def clip(frames=27, batch=2):
    generator = torch.Generator().manual_seed(2)
    keypoints = torch.randn(batch, frames, 17, 2, generator=generator)
    missing = (torch.rand(batch, frames, 17, generator=generator) < 0.2).float()
    return keypoints, missing, torch.ones(batch, frames), torch.tensor([0, 5])[:batch]


def features_of(model, keypoints, missing):
    return model.encode_frame(keypoints.flatten(0, 1), missing.flatten(0, 1)).unflatten(0, keypoints.shape[:2])


@pytest.mark.parametrize(("layers", "total"), [(4, 7_008_358), (5, 7_535_462)])
def test_parameter_counts_are_those_of_the_paper(layers, total):
    with torch.device("meta"):
        model = MPM(layers=layers)
    batch_norm, layer_norms = 2 * 512, 4 * 256
    assert count(model.encoder_2d) == 17_920 + batch_norm
    assert count(model.encoder_3d) == 26_624 + batch_norm
    assert count(model.spatial) == 658_688  # 658.7 K, its two BN included
    assert all(count(layer) == 526_080 + layer_norms for layer in model.temporal.layers)
    assert all(count(layer) == 788_224 + layer_norms for layer in model.strided.layers)
    assert 5 * 788_224 == 3_941_120  # 3941.1 K
    assert count(model.sequence_head) == count(model.frame_head) == 13_619
    lifter = (model.encoder_2d, model.spatial, model.temporal, model.strided)
    assert count(*lifter, model.sequence_head, model.frame_head) == total
    assert round(total / 1e6, 2) == {4: 7.01, 5: 7.54}[layers]
    assert (
        count(model.spatial) + sum(count(layer) - layer_norms for layer in model.temporal.layers)
        == (
            {4: 2_763_008, 5: 3_289_088}[layers]  # the paper's "3289.1 K shared" is five layers
        )
    )


def test_evaluation_is_deterministic_and_the_root_is_zero():
    model = small().eval()
    keypoints, missing, seen, lookahead = clip()
    with torch.no_grad():
        one, sequence = model.lift(keypoints, missing, seen, lookahead)
        again, repeated = model.lift(keypoints, missing, seen, lookahead)
    assert one.shape == (2, 17, 3) and sequence.shape == (2, 27, 17, 3)
    assert torch.equal(one, again) and torch.equal(sequence, repeated)
    assert one[:, PELVIS].abs().max() == 0 and sequence[:, :, PELVIS].abs().max() == 0
    assert one[:, 1:].abs().max() > 0


def test_streaming_frame_by_frame_equals_the_offline_window():
    model = small().eval()
    keypoints, missing, seen, lookahead = clip()
    with torch.no_grad():
        _, offline = model.lift(keypoints, missing, seen, lookahead)
        ring = torch.stack([model.encode_frame(keypoints[:, t], missing[:, t]) for t in range(27)], dim=1)
        live = model.window(ring, seen, lookahead)
    assert torch.allclose(live, offline, atol=1e-5)


def test_missing_joints_are_replaced_whatever_their_value():
    model = small().eval()
    keypoints, missing, _, _ = clip()
    spoiled = torch.where(missing.unsqueeze(-1) > 0.5, torch.nan, keypoints)
    with torch.no_grad():
        assert torch.equal(features_of(model, keypoints, missing), features_of(model, spoiled, missing))
        assert not torch.equal(features_of(model, keypoints, missing), features_of(model, keypoints, missing * 0))


@pytest.mark.parametrize("causal", [False, True])
def test_unseen_frames_have_no_influence_on_anything(causal):
    model = small(causal=causal).eval()
    keypoints, missing, seen, lookahead = clip()
    seen[0, :12] = 0
    seen[1, [3, 9, 20]] = 0
    with torch.no_grad():
        features = features_of(model, keypoints, missing)
        spoiled = torch.where(seen.unsqueeze(-1) > 0.5, features, torch.nan)
        one, sequence = model.decode(features, seen, lookahead)
        other, spoiled_sequence = model.decode(spoiled, seen, lookahead)
        everything, _ = model.decode(features, torch.ones_like(seen), lookahead)
    assert torch.equal(sequence, spoiled_sequence)
    assert torch.equal(one, other)
    assert not torch.allclose(one, everything)


def test_an_empty_window_gives_numbers():
    model = small().eval()
    with torch.no_grad():
        joints = model.window(
            torch.full((1, 27, 32 + 3 * 17 + NUMBERS), torch.nan), torch.zeros(1, 27), torch.tensor([0])
        )
    assert torch.isfinite(joints).all()


def test_padding_before_the_first_frame_equals_masked_frames_not_zero_frames():
    model = small().eval()
    keypoints, missing, seen, lookahead = clip()
    seen[:, :20] = 0
    with torch.no_grad():
        features = features_of(model, keypoints, missing) * seen.unsqueeze(-1)
        masked = model.window(features, seen, lookahead)
        invented = model.window(features, torch.ones_like(seen), lookahead)
    assert not torch.allclose(masked[:, 20:], invented[:, 20:], atol=1e-4)


def test_in_causal_mode_later_frames_change_nothing():
    model = small(causal=True).eval()
    keypoints, missing, seen, lookahead = clip()
    changed = keypoints.clone()
    changed[:, 15:] += 1
    with torch.no_grad():
        before = model.window(features_of(model, keypoints, missing), seen, lookahead)
        after = model.window(features_of(model, changed, missing), seen, lookahead)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.allclose(before[:, 15:], after[:, 15:], atol=1e-4)


def test_the_lookahead_has_an_embedding_of_its_own():
    model = small().eval()
    keypoints, missing, seen, _ = clip()
    with torch.no_grad():
        features = features_of(model, keypoints, missing)
        outputs = [model.window(features, seen, torch.full((2,), k)) for k in range(len(LOOKAHEADS))]
    assert all(not torch.allclose(outputs[0], other, atol=1e-4) for other in outputs[1:])


@pytest.mark.parametrize("frames", STRIDES)
@pytest.mark.parametrize("newest_first", [False, True])
def test_the_strided_skip_is_anchored_at_one_end_of_the_window(frames, newest_first):
    decoder = small(frames=frames, newest_first=newest_first).strided.eval()
    with torch.no_grad():
        decoder.position.zero_()
        for layer in decoder.layers:  # leave the skips alone
            for part in (layer.attention.out, layer.conv2):
                part.weight.zero_(), part.bias.zero_()
        x = torch.randn(2, frames, 32)
        out = decoder(x, torch.ones(2, frames))
    assert torch.equal(out, x[:, -1 if newest_first else 0])


def test_fusing_is_lifting_where_the_joints_are_dropped():
    model = small().eval()
    keypoints, missing = torch.randn(4, 17, 2), torch.zeros(4, 17)
    joints, holes = torch.randn(4, 17, 3), torch.zeros(4, 17)
    use_2d, use_3d = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 1.0, 1.0])
    with torch.no_grad():
        fused = model.fuse_frame(keypoints, missing, joints, holes, use_2d, use_3d)
        flat, deep = model.encode_frame(keypoints, missing), model.encode_frame_3d(joints, holes)
    assert torch.allclose(fused[0], flat[0], atol=1e-6)
    token = slice(0, model.dim)  # what is carried behind it is no part of the sum
    assert torch.allclose(fused[1, token], deep[1, token] + model.mode[0], atol=1e-6)
    assert torch.allclose(fused[2:, token], (flat + deep)[2:, token] + model.mode[1], atol=1e-6)
    assert torch.equal(fused[1:, model.dim :], deep[1:, model.dim :])


def test_before_training_the_poses_are_those_of_the_per_frame_decoder():
    torch.manual_seed(1)
    model = MPM(frames=27, layers=2, dim=32, ffn=64, heads=4, hidden=48).eval()
    keypoints, missing, seen, lookahead = clip()
    joints, both = torch.randn(54, 17, 3), torch.ones(54)
    joints[:, PELVIS] = 0
    box = torch.tensor([0.4, -0.2, 0.2]).expand(54, 3)
    seen[:, 5] = 0
    with torch.no_grad():
        flat = (keypoints.flatten(0, 1), missing.flatten(0, 1), joints, torch.zeros(54, 17))
        features = model.fuse_frame(*flat, both, both, box).unflatten(0, (2, 27))
        out = model.window(features, seen, lookahead)
    kept = seen[0] > 0
    assert torch.allclose(out[:, kept], joints.unflatten(0, (2, 27))[:, kept], atol=1e-5)
    assert torch.allclose(out[:, 5], (out[:, 4] + out[:, 6]) / 2, atol=0.15)


def test_joints_that_a_decoder_lacks_are_guessed():
    model = small().eval()
    joints, holes = torch.randn(3, 17, 3), torch.zeros(3, 17)
    holes[:, 5] = 1
    with torch.no_grad():
        feature = model.encode_frame_3d(torch.where(holes[..., None] > 0, torch.nan, joints), holes)
        carried = feature[:, model.dim : -NUMBERS].unflatten(1, (17, 3))
        guess = model.guess(feature[:, : model.dim]).unflatten(1, (17, 3))
    assert torch.allclose(carried[:, 5], guess[:, 5]) and torch.allclose(carried[:, 6], joints[:, 6])


def test_a_body_beside_the_axis_is_the_one_seen_straight_ahead_turned_back():
    model = small().eval()
    keypoints, missing, seen, lookahead = clip()
    box = torch.tensor([0.4, -0.2, 0.2]).expand(2, 27, 3)
    # Turned to the axis the same body is smaller by the ray's cosine, which the height of its crop tells.
    straight = torch.tensor([0.0, 0.0, 0.2 / (1 + 0.4**2 + 0.2**2) ** 0.5]).expand(2, 27, 3)
    with torch.no_grad():
        features = model.encode_frame(*(x.flatten(0, 1) for x in (keypoints, missing, box))).unflatten(0, (2, 27))
        assert torch.allclose(features[..., -NUMBERS:], view_of(box))
        _, live = model.lift(keypoints, missing, seen, lookahead, box)
        assert torch.allclose(live, model.window(features, seen, lookahead), atol=1e-5)
        model.width.weight.zero_()
        _, live = model.lift(keypoints, missing, seen, lookahead, box)
        _, plain = model.lift(keypoints_in_view(keypoints, box), missing, seen, lookahead, straight)
    assert torch.allclose(live, from_view(plain, view_of(box)), atol=1e-5)
    assert not torch.allclose(live, plain, atol=1e-2)


def test_lifting_trains_every_part_it_uses():
    model = small().train()
    keypoints, missing, seen, lookahead = clip()
    one, sequence = model.lift(keypoints, missing, seen, lookahead, torch.tensor([0.1, 0.2, 0.4]).expand(2, 27, 3))
    (one.square().sum() + sequence.square().sum()).backward()
    idle = {"encoder_3d", "missing_3d", "mode"}
    for name, parameter in model.named_parameters():
        if name.split(".")[0] not in idle and not name.endswith("attention.key.bias"):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_window_length_without_strides_is_refused():
    with pytest.raises(ValueError, match="243"):
        MPM(frames=100)


@pytest.mark.parametrize("causal", [False, True])
def test_the_newest_frames_alone_give_what_the_window_gives_when_the_others_are_unseen(causal):
    model = small(causal=causal).eval()
    keypoints, missing, seen, lookahead = clip()
    seen[:, :12] = 0
    seen[0, 20] = 0
    with torch.no_grad():
        features = features_of(model, keypoints, missing)
        whole = model.window(features, seen, lookahead)
        newest = model.newest(features[:, 12:], seen[:, 12:], lookahead, read=10)
    assert newest.shape == (2, 10, 17, 3)
    assert torch.allclose(newest, whole[:, -10:], atol=1e-5)
