"""HRNet image encoder: 2D heat maps and the embedding shared by image, 2D and 3D pose.

High-resolution network for pose (Sun et al., "Deep High-Resolution Representation Learning for Human Pose
Estimation", CVPR 2019; the official `pose_hrnet` defines key names and shapes, so its checkpoints load). Heat-map
head: 1x1 convolution on the stride-4 branch. Embedding head (UniHPE, Jiang et al., 2023): every branch of the last
stage average-pooled, concatenated (w18: 270, w32: 480, w48: 720), Linear to 1024.

The official pose network's last fusion outputs the stride-4 branch alone, so three of four branches would
have no fused output to pool. The pooled maps are therefore the four branches *before the last module's
fusion*. They have already exchanged information in every earlier module, and keys and parameter count stay
the official ones.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engines.contracts import CROP_H, CROP_W, EMBEDDING
from engines.skeleton import J


@dataclass(frozen=True, slots=True)
class Variant:
    """Size of one member of the family; branch i of a stage has `width * 2**i` channels."""

    width: int
    stem_blocks: int
    modules: tuple[int, int, int]
    blocks: int


VARIANTS: Final = {
    "w18_small_v2": Variant(width=18, stem_blocks=2, modules=(1, 3, 2), blocks=2),
    "w32": Variant(width=32, stem_blocks=4, modules=(1, 4, 3), blocks=4),
    "w48": Variant(width=48, stem_blocks=4, modules=(1, 4, 3), blocks=4),
}


def _conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(c_out)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip; [B,C,h,w] -> [B,C,h,w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_bn(channels, channels, 3)
        self.conv2, self.bn2 = _conv_bn(channels, channels, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Residual block."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with fourfold output channels; [B,c_in,h,w] -> [B,4c,h,w]."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv_bn(c_in, channels, 1)
        self.conv2, self.bn2 = _conv_bn(channels, channels, 3)
        self.conv3, self.bn3 = _conv_bn(channels, 4 * channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if c_in == 4 * channels else nn.Sequential(*_conv_bn(c_in, 4 * channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Residual block."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(y)) + skip)


def _up(c_in: int, c_out: int, factor: int) -> nn.Sequential:
    return nn.Sequential(*_conv_bn(c_in, c_out, 1), nn.Upsample(scale_factor=factor, mode="nearest"))


def _down(c_in: int, c_out: int, halvings: int) -> nn.Sequential:
    steps = [nn.Sequential(*_conv_bn(c_in, c_in, 3, 2), nn.ReLU(inplace=True)) for _ in range(halvings - 1)]
    return nn.Sequential(*steps, nn.Sequential(*_conv_bn(c_in, c_out, 3, 2)))


class Exchange(nn.Module):
    """One HRNet module: parallel branches, then each output sums all branches at its resolution."""

    def __init__(self, channels: list[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(channels, j, i) for j in range(len(channels))) for i in range(outputs)
        )
        self.relu = nn.ReLU(inplace=False)

    @staticmethod
    def _path(channels: list[int], source: int, target: int) -> nn.Module | None:
        if source == target:
            return None
        if source > target:
            return _up(channels[source], channels[target], 2 ** (source - target))
        return _down(channels[source], channels[target], target - source)

    def run_branches(self, xs: list[Tensor]) -> list[Tensor]:
        """Each branch alone, before any fusion."""
        return [branch(x) for branch, x in zip(self.branches, xs, strict=True)]

    def fuse(self, xs: list[Tensor]) -> list[Tensor]:
        """Sum of all branches at each output resolution."""
        return [self.relu(self._sum(i, paths, xs)) for i, paths in enumerate(self.fuse_layers)]

    @staticmethod
    def _sum(target: int, paths: nn.ModuleList, xs: list[Tensor]) -> Tensor:
        height, width = xs[target].shape[-2:]
        total = xs[target]
        for j, path in enumerate(paths):
            if j == target:
                continue
            y = path(xs[j])
            if y.shape[-2:] != (height, width):  # sides not divisible by 32 are rounded up on the way down
                y = y[..., :height, :width]
            total = total + y
        return total

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """[B,C_i,h_i,w_i] per branch -> the same for each output branch."""
        return self.fuse(self.run_branches(xs))


def _new_branch(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Sequential(*_conv_bn(c_in, c_out, 3, 2), nn.ReLU(inplace=True)))


class HRNet(nn.Module):
    """Heat maps and embedding of a crop.

    Args:
        variant: one of `VARIANTS`.
        joints: number of heat maps.
        embedding: length of the embedding.
    """

    def __init__(self, variant: str, joints: int = J, embedding: int = EMBEDDING) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"HRNet variant {variant!r} unknown; have {', '.join(VARIANTS)}")
        v = VARIANTS[variant]
        self.variant = variant
        self.working_px = (CROP_H, CROP_W)
        """Height and width at which it was trained last and is run; a crop of another size is resized first."""
        channels = [v.width * 2**i for i in range(4)]
        self.conv1, self.bn1 = _conv_bn(3, 64, 3, 2)
        self.conv2, self.bn2 = _conv_bn(64, 64, 3, 2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(*(Bottleneck(64 if i == 0 else 256, 64) for i in range(v.stem_blocks)))
        first = nn.Sequential(*_conv_bn(256, channels[0], 3), nn.ReLU(inplace=True))
        self.transition1 = nn.ModuleList([first, _new_branch(256, channels[1])])
        self.stage2 = self._stage(channels[:2], v.modules[0], v.blocks, outputs=2)
        self.transition2 = nn.ModuleList([None, None, _new_branch(channels[1], channels[2])])
        self.stage3 = self._stage(channels[:3], v.modules[1], v.blocks, outputs=3)
        self.transition3 = nn.ModuleList([None, None, None, _new_branch(channels[2], channels[3])])
        self.stage4 = self._stage(channels, v.modules[2], v.blocks, outputs=1)
        self.final_layer = nn.Conv2d(channels[0], joints, 1)
        self.embed = nn.Linear(sum(channels), embedding)
        self._initialise()

    @staticmethod
    def _stage(channels: list[int], modules: int, blocks: int, outputs: int) -> nn.Sequential:
        outs = [len(channels)] * (modules - 1) + [outputs]
        return nn.Sequential(*(Exchange(channels, blocks, out) for out in outs))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # The 1x1 head starts near uniform heat maps whatever the scale of its input.
        nn.init.normal_(self.final_layer.weight, std=0.001)
        if self.final_layer.bias is not None:
            nn.init.zeros_(self.final_layer.bias)

    def _branches(self, crop: Tensor) -> list[Tensor]:
        x = self.relu(self.bn1(self.conv1(crop)))  # [B,64,H/2,W/2]
        x = self.relu(self.bn2(self.conv2(x)))  # [B,64,H/4,W/4]
        x = self.layer1(x)  # [B,256,H/4,W/4]
        xs = self.stage2([self.transition1[0](x), self.transition1[1](x)])
        xs = self.stage3([*xs, self.transition2[2](xs[-1])])
        xs = [*xs, self.transition3[3](xs[-1])]
        for module in list(self.stage4)[:-1]:
            xs = module(xs)
        return self.stage4[-1].run_branches(xs)  # [B,C_i,H/(4*2^i),W/(4*2^i)], not yet fused

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """Heat-map logits and embedding.

        Args:
            crop: [B,3,H,W], ImageNet-normalised RGB; sides multiples of 4 (256x192 live, smaller to train).

        Returns:
            heat-map logits [B,J,H/4,W/4] and embedding [B,1024], not normalised.
        """
        branches = self._branches(crop)
        heatmaps = self.final_layer(self.stage4[-1].fuse(branches)[0])  # [B,J,H/4,W/4]
        pooled = torch.cat([x.mean(dim=(2, 3)) for x in branches], dim=1)  # [B,15*width]
        return heatmaps, self.embed(pooled)  # [B,J,H/4,W/4], [B,1024]


def build(variant: str) -> HRNet:
    """HRNet of the size `variant` with posecast's 17 joints; ValueError when the name is unknown."""
    return HRNet(variant)
