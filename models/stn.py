"""Subject detector (spatial transformer) and the differentiable crop that it steers.

TRL, ALGORITHMS 1.1: ResNet18 on the whole search window gives half size and centre of one box,
`s = s_min + (s_max - s_min) * sigmoid(o)`, `u = b * tanh(o)`; the last layer starts with zero weights, so
training starts with one centred box. Keys of the trunk are torchvision's, so an ImageNet ResNet18 file loads.

The usual global average pool is replaced by a 1x1 convolution 512->32 and a flattened 4x4 grid: averaging
would throw away *where* the subject is, which is the very quantity to regress.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.contracts import STN_PX


class ResidualBlock(nn.Module):
    """ResNet's basic block: two 3x3 convolutions, skip projected when the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """[B,c_in,h,w] -> [B,c_out,h/stride,w/stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        skip = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(y)) + skip)


def _layer(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(c_in, c_out, stride), ResidualBlock(c_out, c_out, 1))


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))


class STN(nn.Module):
    """Box and presence of the subject in a search window.

    Args:
        picture_px: side of the square input.
        s_min, s_max: bounds of the half size, window coordinates (1 is the whole window).
        border: bound of the centre, window coordinates.
        rotation: also give the subject's in-plane angle.
        initial_size: half size of the centred box before any training.
    """

    def __init__(
        self,
        picture_px: int = STN_PX,
        s_min: float = 0.05,
        s_max: float = 1.0,
        border: float = 1.0,
        rotation: bool = False,
        initial_size: float = 0.7,
    ) -> None:
        super().__init__()
        if not 0.0 < s_min < initial_size < s_max:
            raise ValueError(f"need 0 < s_min < initial_size < s_max, got {s_min}, {initial_size}, {s_max}")
        self.s_min, self.s_max, self.border, self.rotation = s_min, s_max, border, rotation
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _layer(64, 64, 1)
        self.layer2 = _layer(64, 128, 2)
        self.layer3 = _layer(128, 256, 2)
        self.layer4 = _layer(256, 512, 2)
        grid = math.ceil(picture_px / 32)
        self.reduce = nn.Conv2d(512, 32, 1)
        self.hidden = nn.Linear(32 * grid * grid, 256)
        self.box = nn.Linear(256, 6 if rotation else 4)
        self.presence = nn.Linear(256, 1)
        self._initialise(_logit((initial_size - s_min) / (s_max - s_min)))

    def _initialise(self, size_logit: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.box.weight)
        start = [size_logit, size_logit, 0.0, 0.0, 1.0, 0.0]  # the last two: cos and sin of the angle
        with torch.no_grad():
            self.box.bias.copy_(torch.tensor(start[: self.box.out_features]))

    def trunk(self, picture: Tensor) -> Tensor:
        """ResNet18 features: [B,3,h,w] -> [B,512,h/32,w/32]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(picture))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Box of the subject.

        Args:
            picture: [B,3,128,128], ImageNet-normalised RGB, the search window squeezed to a square.

        Returns:
            theta [B,4] = s_x, s_y, u_x, u_y (half size and centre, window coordinates -1..1), with `rotation`
            [B,5], the fifth being the angle in radians, clockwise on the screen; presence logit [B,1].
        """
        x = self.relu(self.reduce(self.trunk(picture)))  # [B,32,4,4]
        x = self.relu(self.hidden(x.flatten(1)))  # [B,256]
        raw = self.box(x)  # [B,4] or [B,6]
        size = self.s_min + (self.s_max - self.s_min) * torch.sigmoid(raw[:, 0:2])
        parts = [size, self.border * torch.tanh(raw[:, 2:4])]
        if self.rotation:
            # Two numbers on a circle have no seam, an angle has one at +-pi.
            parts.append(torch.atan2(raw[:, 5:6], raw[:, 4:5]))
        return torch.cat(parts, dim=1), self.presence(x)  # [B,4|5], [B,1]


def load_imagenet(model: STN, state_dict: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy a torchvision ResNet18 checkpoint into the trunk; returns the model's keys that were not in it.

    Raises ValueError when a tensor of the trunk is absent or of another shape: not a ResNet18.
    """
    own = model.state_dict()
    heads = ("reduce.", "hidden.", "box.", "presence.")
    trunk = {key: value for key, value in own.items() if not key.startswith(heads)}
    for key, value in trunk.items():
        if key not in state_dict or state_dict[key].shape != value.shape:
            raise ValueError(f"checkpoint has no {key} of shape {tuple(value.shape)}; give a ResNet18 file")
    model.load_state_dict({key: state_dict[key] for key in trunk}, strict=False)
    return tuple(key for key in own if key not in trunk)


def window_from_crop(theta: Tensor) -> Tensor:
    """Affine matrices [B,2,3] taking crop coordinates -1..1 to window coordinates -1..1 (ALGORITHMS 1.1).

    theta [B,4] gives [[s_x,0,u_x],[0,s_y,u_y]]; a fifth number turns the box by that angle first.
    """
    s, u = theta[:, 0:2], theta[:, 2:4]
    angle = theta[:, 4] if theta.shape[1] == 5 else torch.zeros_like(theta[:, 0])
    cos, sin = torch.cos(angle), torch.sin(angle)
    linear = torch.stack([cos * s[:, 0], -sin * s[:, 1], sin * s[:, 0], cos * s[:, 1]], dim=1)
    return torch.cat([linear.view(-1, 2, 2), u.unsqueeze(2)], dim=2)  # [B,2,3]


def crop_from_window(theta: Tensor) -> Tensor:
    """Inverse of `window_from_crop`, [B,2,3]; without rotation [[1/s_x,0,-u_x/s_x],[0,1/s_y,-u_y/s_y]]."""
    forward = window_from_crop(theta)
    (a, b), (c, d) = forward[:, 0, :2].unbind(1), forward[:, 1, :2].unbind(1)
    inverse = torch.stack([d, -b, -c, a], dim=1) / (a * d - b * c).unsqueeze(1)
    linear = inverse.view(-1, 2, 2)
    return torch.cat([linear, -linear @ forward[:, :, 2:]], dim=2)  # [B,2,3]


def sampling_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Sampling points [B,height,width,2] of an affine map [B,2,3], for `grid_sample`."""
    return functional.affine_grid(matrix, [matrix.shape[0], 1, height, width], align_corners=False)


def cut_crop(window: Tensor, theta: Tensor, height: int, width: int) -> Tensor:
    """Box `theta` of the window [B,C,h,w] as a picture [B,C,height,width]; outside the window it is black."""
    grid = sampling_grid(window_from_crop(theta), height, width)
    return functional.grid_sample(window, grid, align_corners=False)


def paste_crop(crop: Tensor, theta: Tensor, height: int, width: int) -> Tensor:
    """Inverse warp: the crop [B,C,h,w] at its place in an else zero window [B,C,height,width]."""
    grid = sampling_grid(crop_from_window(theta), height, width)
    return functional.grid_sample(crop, grid, align_corners=False)


def border_taper(height: int, width: int) -> Tensor:
    """Bump [height,width]: 1 in the centre, exactly 0 on the border, smooth between (ALGORITHMS 1.1).

    `exp(1 - 1/(1 - sqrt(x^4 + y^4)))`. The mask is multiplied by it, which makes the box differentiable and
    leaves no hard edge in the composed picture.
    """
    y = torch.linspace(-1.0, 1.0, height).unsqueeze(1)
    x = torch.linspace(-1.0, 1.0, width).unsqueeze(0)
    room = 1.0 - torch.sqrt(x**4 + y**4)
    inside = room > 1e-6
    return torch.where(inside, torch.exp(1.0 - 1.0 / torch.where(inside, room, 1.0)), 0.0)
