"""Encoders of 2D and 3D poses into the embedding shared with the image (UniHPE, 2023).

One token a joint (Linear of its coordinates + learned position), a CLS token, for 2D a token of the crop's
box ((u_c-c_x)/f, (v_c-c_y)/f, side/f), which resolves what a crop alone cannot tell; 3 transformer layers;
Linear of the CLS token to 1024. Widths not printed in the paper: 256, 8 heads, feed-forward 1024.

Keypoints are first turned into the camera that looks straight at the crop, and joints are taken in its axes: what the
place in the picture does to a pose is known from the box, and need not be learned.

A keypoint of confidence c enters as c times its token plus (1-c) times a learned mask token, so an unmeasured
joint's coordinates have no influence. The MLP variants are 3 residual blocks of 1024: seven times as fast to train.
"""

import torch
from torch import Tensor, nn

from engines.contracts import EMBEDDING
from engines.skeleton import J
from models.layers import ResidualMLP, TransformerLayer
from models.view import keypoints_in_view

BOX = 3


def _token(dim: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(dim) * 0.02)


class _Transformer(nn.Module):
    """Position embedding, CLS token, layers and output shared by both encoders."""

    def __init__(self, dim: int, heads: int, ffn: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(J, dim) * 0.02)
        self.cls = _token(dim)
        self.layers = nn.ModuleList(TransformerLayer(dim, heads, ffn, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, EMBEDDING)

    def forward(self, joints: Tensor, extra: Tensor | None = None) -> Tensor:
        """Joint tokens [B,17,d] and further tokens [B,n,d] -> [B,1024]."""
        cls = self.cls.expand(joints.shape[0], 1, -1)
        tokens = [cls, joints + self.position] if extra is None else [cls, joints + self.position, extra]
        x = torch.cat(tokens, dim=1)  # [B,1+17+n,d]
        for layer in self.layers[:-1]:
            x = layer(x)
        x = self.layers[-1](x, kept=slice(1))  # nobody reads the other tokens of the last layer: a quarter of the cost
        return self.out(self.norm(x[:, 0]))  # [B,1024]


class PoseEncoder2D(nn.Module):
    """Keypoints with confidence and the crop's box to an embedding; contract `POSE2D_ENCODER`."""

    def __init__(self, dim: int = 256, heads: int = 8, ffn: int = 1024, layers: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.keypoint = nn.Linear(2, dim)
        self.mask = _token(dim)
        self.box = nn.Linear(BOX, dim)
        self.body = _Transformer(dim, heads, ffn, layers, dropout)

    def forward(self, keypoints: Tensor, confidence: Tensor, box: Tensor) -> Tensor:
        """[B,17,2] crop units, [B,17] 0..1, [B,3] -> embedding [B,1024]."""
        c = confidence.unsqueeze(-1)  # [B,17,1]
        joints = c * self.keypoint(keypoints_in_view(keypoints, box)) + (1 - c) * self.mask  # [B,17,d]
        return self.body(joints, self.box(box).unsqueeze(1))


class PoseEncoder3D(nn.Module):
    """Root-relative joints (metres, axes of the camera that looks at the crop) to an embedding; `POSE3D_ENCODER`."""

    def __init__(self, dim: int = 256, heads: int = 8, ffn: int = 1024, layers: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.joint = nn.Linear(3, dim)
        self.body = _Transformer(dim, heads, ffn, layers, dropout)

    def forward(self, joints: Tensor) -> Tensor:
        """[B,17,3] -> embedding [B,1024]."""
        return self.body(self.joint(joints))


class _ResidualBody(nn.Module):
    """Linear, modality token, residual blocks, Linear to the embedding."""

    def __init__(self, inputs: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.into = nn.Linear(inputs, width)
        self.modality = _token(width)
        self.blocks = nn.Sequential(*(ResidualMLP(width, width, dropout) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        """[B,inputs] -> [B,1024]."""
        return self.out(self.norm(self.blocks(self.into(x) + self.modality)))


class MLPPoseEncoder2D(nn.Module):
    """As `PoseEncoder2D`, by residual MLP blocks; a joint of confidence 0 enters as zeros."""

    def __init__(self, width: int = 1024, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = _ResidualBody(J * 3 + BOX, width, blocks, dropout)

    def forward(self, keypoints: Tensor, confidence: Tensor, box: Tensor) -> Tensor:
        """[B,17,2] crop units, [B,17] 0..1, [B,3] -> embedding [B,1024]."""
        measured = keypoints_in_view(keypoints, box) * confidence.unsqueeze(-1)
        return self.body(torch.cat([measured.flatten(1), confidence, box], dim=1))


class MLPPoseEncoder3D(nn.Module):
    """As `PoseEncoder3D`, by residual MLP blocks."""

    def __init__(self, width: int = 1024, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = _ResidualBody(J * 3, width, blocks, dropout)

    def forward(self, joints: Tensor) -> Tensor:
        """[B,17,3] -> embedding [B,1024]."""
        return self.body(joints.flatten(1))
