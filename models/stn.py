"""Subject detector (spatial transformer) and the differentiable crop that it steers.

Temporal representation learning (Katircioglu et al.: "Temporal representation learning on monocular videos for 3D
human pose estimation"): a ResNet18 on the whole search window gives half size `s` and centre `u` of one box. Before
training it is one centred box. Keys of the trunk are torchvision's, so an ImageNet ResNet18 file loads.

The head is not the paper's pooled regression, which throws away *where* the subject is. Features of strides 8, 16 and
32 meet on a grid of stride 8; each cell votes for itself as the box's centre and proposes a box of its own; the box
given is the proposals' mean under the votes' soft-max. All of it is convolution: a subject learned in one place is
found in every other.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS: Final = 96
"""Of the grid on which the subject is looked for."""


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


class Found(NamedTuple):
    """What the detector says: box as in `STN.forward`, presence logit before calibration, votes of the cells."""

    theta: Tensor  # [B,4] or [B,5]
    presence: Tensor  # [B,1]
    votes: Tensor  # [B,h/8,w/8] logits


class STN(nn.Module):
    """Box and presence of the subject in a search window.

    Args:
        s_min, s_max: bounds of the half size, window coordinates (1 is the whole window).
        border: bound of the centre, window coordinates.
        rotation: also give the subject's in-plane angle.
        initial_size: half size of the centred box before any training.
    """

    bounds: Tensor
    """s_min, s_max, border: kept with the weights, which mean nothing without them."""
    calibration: Tensor
    """Scale and shift of the presence logit that make its sigmoid a probability; fitted after training."""

    def __init__(
        self,
        s_min: float = 0.01,
        s_max: float = 1.0,
        border: float = 1.0,
        rotation: bool = False,
        initial_size: float = 0.7,
    ) -> None:
        super().__init__()
        if not 0.0 < s_min < initial_size < s_max:
            raise ValueError(f"need 0 < s_min < initial_size < s_max, got {s_min}, {initial_size}, {s_max}")
        self.rotation = rotation
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _layer(64, 64, 1)
        self.layer2 = _layer(64, 128, 2)
        self.layer3 = _layer(128, 256, 2)
        self.layer4 = _layer(256, 512, 2)
        self.lateral2, self.lateral3, self.lateral4 = (nn.Conv2d(c, CHANNELS, 1) for c in (128, 256, 512))
        self.grid = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.vote = nn.Conv2d(CHANNELS, 1, 1)
        self.box = nn.Conv2d(CHANNELS, 6 if rotation else 4, 1)
        self.presence = nn.Linear(2 * CHANNELS, 1)
        self.register_buffer("bounds", torch.tensor([s_min, s_max, border]))
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self._initialise(_logit((initial_size - s_min) / (s_max - s_min)))

    def _initialise(self, size_logit: float) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.box.weight)
        nn.init.zeros_(self.vote.weight)
        start = [size_logit, size_logit, 0.0, 0.0, 1.0, 0.0]  # the last two: cos and sin of the angle
        with torch.no_grad():
            assert self.box.bias is not None
            self.box.bias.copy_(torch.tensor(start[: self.box.out_channels]))

    def features(self, picture: Tensor) -> list[Tensor]:
        """ResNet18's four stages: [B,3,h,w] -> [B,64,h/4,w/4], [B,128,h/8,w/8], [B,256,..], [B,512,h/32,w/32]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(picture))))
        stages = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            stages.append(x)
        return stages

    def detect(self, picture: Tensor) -> Found:
        """Box, presence and votes of a normalised picture [B,3,h,w], sides multiples of 32."""
        _, fine, middle, coarse = self.features(picture)
        x = self.lateral3(middle) + functional.interpolate(self.lateral4(coarse), scale_factor=2.0, mode="nearest")
        x = self.lateral2(fine) + functional.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.grid(x)  # [B,96,h/8,w/8]
        votes = self.vote(x).float()[:, 0]  # [B,h/8,w/8]
        share = votes.flatten(1).softmax(1)  # [B,cells]
        raw = self.box(x).float().flatten(2)  # [B,4|6,cells]
        s_min, s_max, border = self.bounds.unbind()
        size = s_min + (s_max - s_min) * torch.sigmoid(raw[:, 0:2])
        # A cell proposes a centre within one cell of its own.
        reach = raw.new_tensor([2.0 / votes.shape[2], 2.0 / votes.shape[1]]).view(1, 2, 1)
        centre = _cells(votes.shape[1], votes.shape[2]).to(raw) + reach * torch.tanh(raw[:, 2:4])
        proposed = [size, border * centre.clamp(-1.0, 1.0), raw[:, 4:]]
        mean = (torch.cat(proposed, dim=1) * share.unsqueeze(1)).sum(2)  # [B,4|6]
        theta = mean[:, :4]
        if self.rotation:
            # Two numbers on a circle have no seam, an angle has one at +-pi.
            theta = torch.cat([theta, torch.atan2(mean[:, 5:6], mean[:, 4:5])], dim=1)
        cells = x.float().flatten(2)  # [B,96,cells]
        pooled = torch.cat([(cells * share.unsqueeze(1)).sum(2), cells.mean(2)], dim=1)
        return Found(theta, self.presence(pooled), votes)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Box of the subject.

        Args:
            picture: [B,3,128,128], ImageNet-normalised RGB, the search window squeezed to a square.

        Returns:
            theta [B,4] = s_x, s_y, u_x, u_y (half size and centre, window coordinates -1..1), with `rotation`
            [B,5], the fifth being the angle in radians, clockwise on the screen; calibrated presence logit [B,1].
        """
        found = self.detect(picture)
        return found.theta, found.presence * self.calibration[0] + self.calibration[1]


def _cells(rows: int, columns: int) -> Tensor:
    """Centres [1,2,rows*columns] (x, y) of the grid's cells, window coordinates."""
    y = (torch.arange(rows) * 2 + 1) / rows - 1
    x = (torch.arange(columns) * 2 + 1) / columns - 1
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)]).unsqueeze(0)


def load_imagenet(model: STN, state_dict: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy a torchvision ResNet18 checkpoint into the trunk; returns the model's keys that were not in it.

    Raises ValueError when a tensor of the trunk is absent or of another shape: not a ResNet18.
    """
    own = model.state_dict()
    trunk = {key: value for key, value in own.items() if key.startswith(("conv1.", "bn1.", "layer"))}
    for key, value in trunk.items():
        if key not in state_dict or state_dict[key].shape != value.shape:
            raise ValueError(f"checkpoint has no {key} of shape {tuple(value.shape)}; give a ResNet18 file")
    model.load_state_dict({key: state_dict[key] for key in trunk}, strict=False)
    return tuple(key for key in own if key not in trunk)


def window_from_crop(theta: Tensor) -> Tensor:
    """Affine matrices [B,2,3] taking crop coordinates -1..1 to window coordinates -1..1 (same paper).

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
    """Bump [height,width]: 1 in the centre, exactly 0 on the border, smooth between (same paper).

    `exp(1 - 1/(1 - sqrt(x^4 + y^4)))`. The mask is multiplied by it, which makes the box differentiable and
    leaves no hard edge in the composed picture.
    """
    y = torch.linspace(-1.0, 1.0, height).unsqueeze(1)
    x = torch.linspace(-1.0, 1.0, width).unsqueeze(0)
    room = 1.0 - torch.sqrt(x**4 + y**4)
    inside = room > 1e-6
    return torch.where(inside, torch.exp(1.0 - 1.0 / torch.where(inside, room, 1.0)), 0.0)
