"""Losses: known values, and the five corrections of the triplet loss."""

import math

import numpy as np
import pytest
import torch

from engines.skeleton import J
from training import losses


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_largest_eigenvalue_equals_the_eigen_solver():
    x = torch.nn.functional.normalize(torch.randn(500, 3, 8, dtype=torch.float64), dim=-1)
    gram = x @ x.transpose(1, 2)
    closed = losses.largest_eigenvalue(gram[:, 0, 1], gram[:, 0, 2], gram[:, 1, 2])
    solved = torch.linalg.eigvalsh(gram)[:, -1]
    assert (closed - solved).abs().max() < 1e-6


def test_largest_eigenvalue_spans_one_to_three():
    one = torch.ones(1, dtype=torch.float64)
    assert losses.largest_eigenvalue(one, one, one).item() == pytest.approx(3, abs=1e-5)
    assert losses.largest_eigenvalue(0 * one, 0 * one, 0 * one).item() == pytest.approx(1, abs=1e-3)


def test_gradient_is_finite_for_parallel_embeddings():
    x = torch.ones(4, 16, requires_grad=True)
    losses.triplet_loss(x, x.clone(), x.clone(), torch.tensor(5.0)).backward()
    assert torch.isfinite(x.grad).all()


def test_gradient_is_finite_for_near_embeddings_under_autocast():
    base = torch.randn(1, 64)
    x = (base + 1e-3 * torch.randn(8, 64)).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses.triplet_loss(x, base.expand(8, 64), x.detach(), torch.tensor(14.0))
        (loss + losses.pair_loss(x, x.detach(), torch.tensor(14.0))).backward()
    assert torch.isfinite(x.grad).all()


def test_index_table_has_the_positive_in_column_zero_and_permutations_after():
    second, third = losses.triplet_indices(12)
    rows = torch.arange(12)
    assert torch.equal(second[:, 0], rows) and torch.equal(third[:, 0], rows)
    for table in (second, third):
        assert all(torch.equal(column.sort().values, rows) for column in table.T)


def test_a_negative_that_is_the_positive_does_not_count():
    x1, x2, x3 = torch.randn(3, 6, 32)
    second, third = losses.triplet_indices(6)
    rows = torch.arange(6)
    second[:, 3] = third[:, 3] = rows  # a whole column of false negatives
    with_column = losses.triplet_loss(x1, x2, x3, torch.tensor(5.0), (second, third))
    keep = [0, 1, 2, 4, 5]
    without = _triplet_by_hand(x1, x2, x3, 5.0, second[:, keep], third[:, keep])
    assert with_column.item() == pytest.approx(without, abs=1e-4)


def _triplet_by_hand(x1, x2, x3, scale, second, third):
    total = 0.0
    n1, n2, n3 = (torch.nn.functional.normalize(x.double(), dim=-1) for x in (x1, x2, x3))
    for r in range(len(x1)):
        values = []
        for i in range(second.shape[1]):
            if i > 0 and second[r, i] == r and third[r, i] == r:
                continue
            m = torch.stack([n1[r], n2[second[r, i]], n3[third[r, i]]])
            values.append(scale * torch.linalg.svdvals(m)[0].item() ** 2)
        total += math.log(sum(math.exp(v - values[0]) for v in values))
    return total / len(x1)


def test_triplet_loss_equals_singular_values():
    x1, x2, x3 = torch.randn(3, 9, 16)
    tables = losses.triplet_indices(9)
    got = losses.triplet_loss(x1, x2, x3, torch.tensor(3.0), tables).item()
    assert got == pytest.approx(_triplet_by_hand(x1, x2, x3, 3.0, *tables), abs=1e-4)


def test_contrastive_losses_start_at_the_logarithm_of_the_batch():
    batch = 128
    x1, x2, x3 = torch.randn(3, batch, 1024)
    scale = torch.tensor(5.0)
    assert losses.triplet_loss(x1, x2, x3, scale).item() == pytest.approx(math.log(batch), rel=0.05)
    assert losses.pair_loss(x1, x2, scale).item() == pytest.approx(math.log(batch), rel=0.05)


def test_pair_loss_is_symmetric_and_small_for_aligned_rows():
    a, b = torch.randn(2, 32, 64)
    scale = torch.tensor(20.0)
    assert losses.pair_loss(a, b, scale).item() == pytest.approx(losses.pair_loss(b, a, scale).item(), abs=1e-5)
    assert losses.pair_loss(a, a, scale).item() < 0.01


def test_heatmap_loss_is_zero_for_the_target_and_ignores_joints_outside():
    cells = torch.tensor([[[20.3, 30.7], [5.0, 60.0]]])
    target = losses.heatmap_target(cells, 64, 48)
    assert target.sum((-2, -1)).allclose(torch.ones(1, 2))
    logits = target.clamp_min(1e-12).log()
    weight = torch.ones(1, 2)
    assert losses.heatmap_cross_entropy(logits, cells, weight).item() == pytest.approx(0, abs=1e-4)
    outside = torch.tensor([[[20.3, 30.7], [500.0, 60.0]]])
    logits[:, 1] = torch.randn(1, 64, 48)
    assert losses.heatmap_cross_entropy(logits, outside, weight).item() == pytest.approx(0, abs=1e-4)


def test_heatmap_target_is_the_codecs_at_full_size():
    from engines.codecs import crop_px_of_heatmap_px, encode_heatmaps

    cells = torch.tensor([[[20.3, 30.7], [5.0, 60.0]]])
    theirs = encode_heatmaps(crop_px_of_heatmap_px(cells.numpy()))
    assert np.abs(losses.heatmap_target(cells, 64, 48).numpy() - theirs).max() < 1e-6


def test_motion_losses_of_known_motions():
    t = torch.arange(10.0)
    still = torch.zeros(1, 10, J, 3)
    moving = still + t[None, :, None, None] * torch.tensor([0.3, 0.0, 0.4])
    falling = still + 0.5 * t[None, :, None, None] ** 2 * torch.tensor([0.0, 2.0, 0.0])
    assert losses.velocity(moving, still).item() == pytest.approx(0.5, abs=1e-5)
    assert losses.acceleration(moving, still).item() == pytest.approx(0, abs=1e-5)
    assert losses.acceleration(falling, still).item() == pytest.approx(2.0, abs=1e-4)


def test_bone_variance_sees_stretching_but_not_turning():
    pose = torch.randn(1, 1, J, 3)
    angle = torch.linspace(0, 6, 20)
    turn = torch.zeros(20, 3, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -angle.sin(), angle.sin(), 1
    rigid = torch.einsum("tij,bsvj->btvi", turn, pose)
    assert losses.bone_variance(rigid).item() < 1e-9
    assert losses.bone_variance(rigid * torch.linspace(1, 2, 20)[None, :, None, None]).item() > 1e-2


def _dsl_slope(frames: float) -> float:
    a = torch.tensor([[1.0, 0.0]])
    angle = torch.tensor(0.8, requires_grad=True)
    b = torch.stack([angle.cos(), angle.sin()])[None]
    losses.distance_similarity(a, b, torch.tensor([frames]), 20.0).backward()
    return float(angle.grad)


def test_distance_similarity_prefers_likeness_below_half_of_the_threshold():
    assert _dsl_slope(9.0) > 0 > _dsl_slope(11.0)
    same, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert losses.distance_similarity(same, same, torch.tensor([0.0]), 20.0).item() == pytest.approx(0)
    assert losses.distance_similarity(same, other, torch.tensor([30.0]), 20.0).item() == pytest.approx(0)


def test_giou_of_known_boxes():
    box = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert losses.box_giou(box, box).item() == pytest.approx(1)
    apart = torch.tensor([[0.5, 0.5, 2.0, 0.0]])  # hull 3 x 1, union 2
    assert losses.box_giou(box, apart).item() == pytest.approx(-1 / 3, abs=1e-6)
