"""Pose encoders: shapes, counts, every input is used, unmeasured joints are not."""

import pytest
import torch

from models.pose_encoder import MLPPoseEncoder2D, MLPPoseEncoder3D, PoseEncoder2D, PoseEncoder3D

torch.set_num_threads(1)


@pytest.mark.parametrize("make", [PoseEncoder2D, MLPPoseEncoder2D])
def test_an_unmeasured_joint_has_no_influence_and_all_else_has(make):
    model = make().eval()
    keypoints, confidence, box = torch.randn(2, 17, 2), torch.ones(2, 17), torch.randn(2, 3)
    confidence[:, 5] = 0
    moved = keypoints.clone()
    moved[:, 5] += 3
    with torch.no_grad():
        embedding = model(keypoints, confidence, box)
        assert embedding.shape == (2, 1024)
        assert torch.equal(embedding, model(moved, confidence, box))
        assert not torch.allclose(embedding, model(moved, torch.ones(2, 17), box), atol=1e-4)
        assert not torch.allclose(embedding, model(keypoints, confidence, box + 0.5), atol=1e-4)


@pytest.mark.parametrize("make", [PoseEncoder3D, MLPPoseEncoder3D])
def test_joints_are_told_apart_by_their_place_in_the_skeleton(make):
    model = make().eval()
    joints = torch.randn(2, 17, 3)
    with torch.no_grad():
        embedding = model(joints)
        assert embedding.shape == (2, 1024)
        assert not torch.allclose(embedding, model(joints.flip(1)), atol=1e-4)


def test_each_transformer_layer_has_the_stated_width():
    with torch.device("meta"):
        layer = PoseEncoder2D().body.layers[0]
    attention, ffn, norms = 4 * (256 * 256 + 256), 2 * 256 * 1024 + 1024 + 256, 4 * 256
    assert sum(p.numel() for p in layer.parameters()) == attention + ffn + norms
    assert layer.attention.heads == 8
    assert len(PoseEncoder3D().body.layers) == 3


def test_training_changes_every_parameter():
    for model, inputs in (
        (PoseEncoder2D(), (torch.randn(3, 17, 2), torch.rand(3, 17), torch.randn(3, 3))),
        (MLPPoseEncoder3D(width=64), (torch.randn(3, 17, 3),)),
    ):
        model(*inputs).square().sum().backward()
        assert all(
            p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "key.bias" not in n
        )
