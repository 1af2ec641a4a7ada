"""The camera that looks at a crop: exact turning of keypoints and joints, and views of frames nobody saw."""

import pytest
import torch

from models.view import filled, from_view, into_view, keypoints_in_view, rotation, view_of


def body_at(ray, distance=7.0):
    """The same body before a camera that looks straight at it, moved onto `ray`: its joints, keypoints and box."""
    generator = torch.Generator().manual_seed(3)
    seen_straight = 0.4 * torch.randn(1, 17, 3, generator=generator)
    box = torch.tensor([[*ray, 0.25]])
    joints = from_view(seen_straight, view_of(box))
    root = torch.tensor([[*ray, 1.0]])
    points = joints + (distance * root / root.norm())[:, None]
    keypoints = (points[..., :2] / points[..., 2:] - box[:, None, :2]) / (box[:, None, 2:] / 2)
    return seen_straight, joints, keypoints, box


def test_a_view_turns_its_ray_onto_the_axis():
    box = torch.tensor([[0.75, 0.0, 0.2]])  # a ray of 3:4:5
    assert view_of(box)[0].tolist() == pytest.approx([0.6, 0.0])
    turned = rotation(view_of(box))[0] @ torch.tensor([0.6, 0.0, 0.8])
    assert turned.tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert torch.linalg.det(rotation(view_of(box)))[0].item() == pytest.approx(1, abs=1e-5)


def test_in_the_middle_of_the_picture_nothing_changes():
    keypoints, box = torch.randn(2, 17, 2), torch.tensor([[0.0, 0.0, 0.2], [0.0, 0.0, 0.7]])
    assert torch.allclose(keypoints_in_view(keypoints, box), keypoints, atol=1e-6)
    joints = torch.randn(2, 17, 3)
    assert torch.allclose(into_view(joints, view_of(box)), joints, atol=1e-6)


@pytest.mark.parametrize("ray", [(0.5, 0.0), (-0.4, 0.3), (0.05, -0.35)])
def test_a_body_looks_the_same_wherever_it_is_in_the_picture(ray):
    straight, _, seen, box = body_at((0.0, 0.0))
    seen = seen * box[:, None, 2:] / 2
    _, joints, keypoints, box = body_at(ray)
    cosine = 1 / (1 + ray[0] ** 2 + ray[1] ** 2) ** 0.5
    turned = keypoints_in_view(keypoints, box) * (0.25 * cosine / 2)
    assert torch.allclose(turned, seen, atol=1e-5)
    assert not torch.allclose(keypoints * 0.25 / 2, seen, atol=1e-2)  # what the crop shows does differ
    assert torch.allclose(into_view(joints, view_of(box)), straight, atol=1e-5)


def test_a_frame_nobody_saw_takes_the_view_of_the_nearest_one():
    view = torch.tensor([[[0.1, 0.0], [9.0, 9.0], [9.0, 9.0], [9.0, 9.0], [0.3, -0.2]]])
    out = filled(view, torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0]]))[0]
    assert out[0].tolist() == pytest.approx([0.1, 0.0]) and out[4].tolist() == pytest.approx([0.3, -0.2])
    assert out[1].tolist() == pytest.approx([0.1, 0.0], abs=1e-3)
    assert out[3].tolist() == pytest.approx([0.3, -0.2], abs=1e-3)
    assert torch.isfinite(filled(view * torch.nan, torch.zeros(1, 5))).all()
