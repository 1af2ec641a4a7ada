"""Networks that learn to find a subject by explaining the picture: encoder of the crop, decoder of crop and mask.

Temporal representation learning (Katircioglu et al., "Temporal representation learning on monocular videos for 3D human
pose estimation"), after neural scene decomposition (Rhodin et al., CVPR 2019): the detector's box is cut out, encoded
into a part that changes with time and one that does not, decoded, and put back before the background.
"""

import itertools
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.stn import ResidualBlock, border_taper, paste_crop

TIME_INVARIANT: Final = 128
TIME_VARIANT: Final = 600
STAGES: Final = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
"""Blocks of the four stages, by depth."""


class Bottleneck(nn.Module):
    """ResNet50's block: 1x1, 3x3 and 1x1 convolutions, fourfold wider at its end."""

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or c_in != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B,c_in,h,w] -> [B,4 width,h/stride,w/stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(y)) + skip)


class ResNet(nn.Module):
    """Trunk with torchvision's keys; `depth` 18 or 50, `width` channels of the first stage (64 in the original)."""

    def __init__(self, depth: int = 50, width: int = 64) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"depth {depth} unknown; have {', '.join(map(str, STAGES))}")
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels, block, wider = width, ResidualBlock if depth == 18 else Bottleneck, 1 if depth == 18 else 4
        for stage, count in enumerate(STAGES[depth]):
            inside = width * 2**stage
            blocks: list[nn.Module] = [block(channels, inside, 1 if stage == 0 else 2)]
            channels = inside * wider
            blocks += [block(channels, inside, 1) for _ in range(count - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, picture: Tensor, count: int = 4) -> list[Tensor]:
        """Outputs of the first `count` stages for a normalised picture [B,3,h,w]; strides 4, 8, 16, 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(picture))))
        out = []
        for stage in range(count):
            x = getattr(self, f"layer{stage + 1}")(x)
            out.append(x)
        return out


class Encoder(nn.Module):
    """Crop to a time-variant and a time-invariant vector; all weights shared but the last layer's."""

    def __init__(
        self, depth: int = 50, width: int = 64, variant: int = TIME_VARIANT, invariant: int = TIME_INVARIANT
    ) -> None:
        super().__init__()
        self.trunk = ResNet(depth, width)
        self.variant = nn.Linear(self.trunk.channels, variant)
        self.invariant = nn.Linear(self.trunk.channels, invariant)

    def forward(self, crop: Tensor, jittered: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised crops [B,3,h,w], and the same with other colours -> variant [B,D_tv] of those, invariant [B,D_ti].

        Colours have no place in what changes with time, hence the asymmetry.
        """
        pooled = [self.trunk.stages(x)[-1].mean((2, 3)) for x in (jittered, crop)]
        return self.variant(pooled[0]), self.invariant(pooled[1])


class Decoder(nn.Module):
    """Both vectors to a crop's colours and mask, `side` pixels a side (a multiple of 8)."""

    def __init__(
        self, side: int = 128, variant: int = TIME_VARIANT, invariant: int = TIME_INVARIANT, width: int = 128
    ) -> None:
        super().__init__()
        self.base, self.width = side // 8, width
        cells = width * self.base**2
        self.from_variant = nn.Sequential(nn.Linear(variant, cells), nn.ReLU(inplace=True), nn.Dropout(0.3))
        self.from_invariant = nn.Sequential(nn.Linear(invariant, cells), nn.ReLU(inplace=True), nn.Dropout(0.3))
        channels = (2 * width, width, width // 2, width // 4)
        self.ups = nn.ModuleList(_up(a, b) for a, b in itertools.pairwise(channels))
        self.out = nn.Conv2d(channels[-1], 4, 1)
        self.register_buffer("taper", border_taper(side, side), persistent=False)

    def forward(self, variant: Tensor, invariant: Tensor) -> tuple[Tensor, Tensor]:
        """[B,D_tv], [B,D_ti] -> colours [B,3,side,side], normalised, and mask [B,1,side,side], 0 on the border."""
        shape = (-1, self.width, self.base, self.base)
        x = torch.cat([self.from_variant(variant).view(shape), self.from_invariant(invariant).view(shape)], 1)
        for up in self.ups:
            x = up(functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
        x = self.out(x).float()
        return x[:, :3], torch.sigmoid(x[:, 3:]) * self.taper


def _up(c_in: int, c_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(3):
        layers += [nn.Conv2d(c_in if k == 0 else c_out, c_out, 3, 1, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def compose(colours: Tensor, mask: Tensor, theta: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Picture [B,3,H,W] of a decoded crop put into its box before `background` [B,3,H,W], and the mask at its place.

    With T the box's warp: T^-1(M) T^-1(D) + (1 - T^-1(M)) B.
    """
    height, width = background.shape[2:]
    placed = paste_crop(mask, theta, height, width)
    return placed * paste_crop(colours, theta, height, width) + (1 - placed) * background, placed
