"""The camera that looks straight at a crop: turning keypoints and joints into its axes and back.

A body far from the middle of the picture is seen from another side than its root-relative joints in camera axes
suggest, by the angle between the optical axis and the ray to the body. Turning the camera onto the crop takes that
angle, which the pixels inside the crop do not tell, out of the network's work. All exact; the turn is the
smallest that brings the ray to the optical axis.

A view is `NUMBERS` numbers a frame: the x and y of the unit ray to the crop's centre, in camera axes.
"""

from typing import Final

import torch
from torch import Tensor

NUMBERS: Final = 2
_NEAREST: Final = 4.0
"""Sharpness of the choice of the nearest seen frame."""


def view_of(box: Tensor) -> Tensor:
    """View [...,2] of crops `box` [...,3] = x, y of the centre and height, in focal lengths."""
    return box[..., :2] / torch.sqrt(1 + (box[..., :2] ** 2).sum(-1, keepdim=True))


def rotation(view: Tensor) -> Tensor:
    """view_from_cam [...,3,3] of views [...,2]."""
    a, b = view[..., 0], view[..., 1]
    c = torch.sqrt((1 - a * a - b * b).clamp_min(1e-6))
    mixed = -a * b / (1 + c)
    rows = [[1 - a * a / (1 + c), mixed, -a], [mixed, 1 - b * b / (1 + c), -b], [a, b, c]]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def into_view(joints: Tensor, view: Tensor) -> Tensor:
    """Joints [...,17,3] from camera axes into the views [...,2]."""
    # Written as a sum, not as a matrix product: that would be rounded to half precision under autocast.
    return (joints.unsqueeze(-2) * rotation(view).unsqueeze(-3)).sum(-1)


def from_view(joints: Tensor, view: Tensor) -> Tensor:
    """Joints [...,17,3] from the views [...,2] into camera axes."""
    return (joints.unsqueeze(-2) * rotation(view).transpose(-1, -2).unsqueeze(-3)).sum(-1)


def keypoints_in_view(keypoints: Tensor, box: Tensor) -> Tensor:
    """Keypoints [...,17,2] of crops `box` [...,3] as the camera that looks at the crop sees them, in crop units.

    The crop's height stays that of the body: turned to the axis, the same body is smaller by the ray's cosine.
    """
    points = keypoints * box[..., None, 2:] / 2 + box[..., None, :2]
    rays = torch.cat([points, torch.ones_like(points[..., :1])], -1)
    turned = into_view(rays, view_of(box))
    cosine = 1 / torch.sqrt(1 + (box[..., :2] ** 2).sum(-1, keepdim=True))
    height = (box[..., 2:] * cosine).clamp_min(1e-4)
    return turned[..., :2] / turned[..., 2:].clamp_min(1e-3) * (2 / height).unsqueeze(-2)


def filled(values: Tensor, seen: Tensor) -> Tensor:
    """Values [B,T,n] where every unseen frame (`seen` [B,T] is 0) has those of the nearest seen one."""
    values = torch.where(seen.unsqueeze(-1) > 0.5, values, 0.0)
    index = torch.arange(values.shape[1], device=values.device, dtype=values.dtype)
    near = -_NEAREST * (index[:, None] - index[None]).abs() + (seen - 1).unsqueeze(1) * 1e4  # [B,T,T]
    return torch.where(seen.unsqueeze(-1) > 0.5, values, near.softmax(-1) @ values)
