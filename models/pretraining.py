"""Stage I of the temporal model: masked pose modelling.

Per frame, 5 of 17 joints are replaced by a learned vector; 60 % of the frames are taken away altogether, the
transformer sees the other 98 of 243. A light decoder puts mask tokens in their places and rebuilds the whole
sequence. Both masks are drawn anew for every sample and every frame. 2D and 3D sequences alternate and share
everything between their own encoder and decoder. Instead, a limb may be missing in all frames (`draw_tubes`).
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from engines.skeleton import J
from models.layers import TransformerLayer
from models.temporal import MPM, PoseHead, sinusoids

JOINTS_MASKED: Final = 5
FRAMES_MASKED: Final = 0.6
TUBES: Final = (
    *((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16)),
    *((1, 2, 3, 4, 5, 6), (11, 12, 13, 14, 15, 16), (1, 2, 3, 14, 15, 16), (4, 5, 6, 11, 12, 13)),
)
"""Limbs and pairs of limbs that a tube mask takes away."""
LOSS_WEIGHT: Final = {2: 2.0, 3: 3.0}
"""Weight of the mean distance per number of coordinates (screen units in 2D, metres in 3D)."""


@dataclass(frozen=True, slots=True)
class Masks:
    """`joints` [B,T,17] bool, true where replaced; `visible` [B,n] int64, the kept frames in order."""

    joints: Tensor
    visible: Tensor


def draw_masks(
    batch: int,
    frames: int,
    joints_masked: int = JOINTS_MASKED,
    frames_masked: float = FRAMES_MASKED,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Masks:
    """Independent masks per sample and frame: exactly `joints_masked` joints, int(share * frames) frames."""
    rank = torch.rand(batch, frames, J, generator=generator, device=device).argsort(-1).argsort(-1)
    order = torch.rand(batch, frames, generator=generator, device=device).argsort(-1)
    visible = order[:, int(frames_masked * frames) :].sort(-1).values
    return Masks(rank < joints_masked, visible)


def draw_tubes(batch: int, frames: int, generator: torch.Generator | None = None) -> Masks:
    """The same joints masked in all frames, none of which is removed: a limb, two limbs, or up to five joints."""
    table = torch.zeros(len(TUBES), J, dtype=torch.bool)
    for row, joints in enumerate(TUBES):
        table[row, list(joints)] = True
    limbs = table[torch.randint(len(TUBES), (batch,), generator=generator)]
    rank = torch.rand(batch, J, generator=generator).argsort(-1).argsort(-1)
    scattered = rank < torch.randint(1, JOINTS_MASKED + 1, (batch, 1), generator=generator)
    joints = torch.where(torch.rand(batch, 1, generator=generator) < 0.7, limbs, scattered)
    visible = torch.arange(frames).expand(batch, frames)
    return Masks(joints.unsqueeze(1).expand(batch, frames, J), visible)


class SequenceDecoder(nn.Module):
    """LN, mask tokens, learned positions, one transformer layer, BN and 1x1 convolution."""

    def __init__(self, frames: int, dim: int, heads: int, ffn: int, dropout: float, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mask_token = nn.Parameter(torch.randn(dim) * 0.02)
        self.position = nn.Parameter(0.1 * sinusoids(frames, dim))
        self.layer = TransformerLayer(dim, heads, ffn, dropout)
        self.head = PoseHead(dim, out_dim)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Tokens [B,n,D] of the frames `visible` [B,n] -> poses of all frames [B,T,17,d]."""
        frames, dim = self.position.shape
        places = visible.unsqueeze(-1).expand(-1, -1, dim)
        empty = self.mask_token.expand(tokens.shape[0], frames, dim)
        x = empty.scatter(1, places, self.norm(tokens)) + self.position  # [B,T,D]
        return self.head(self.layer(x))


class MaskedPoseModel(nn.Module):
    """An `MPM` with its stage-I decoders. Train this, then keep `mpm` for stage II.

    Args:
        mpm: the network to pre-train.
        heads, ffn, dropout: of the decoders' single layer.
    """

    def __init__(self, mpm: MPM, heads: int = 8, ffn: int = 512, dropout: float = 0.1) -> None:
        super().__init__()
        self.mpm = mpm
        self.decoder_2d = SequenceDecoder(mpm.frames, mpm.dim, heads, ffn, dropout, 2)
        self.decoder_3d = SequenceDecoder(mpm.frames, mpm.dim, heads, ffn, dropout, 3)

    def forward(self, pose: Tensor, masks: Masks | None = None) -> Tensor:
        """Rebuild a masked sequence.

        Args:
            pose: [B,T,17,2] keypoints or [B,T,17,3] joints, in the view of each frame's crop (`models.view`); the
                last axis chooses encoder and decoder.
            masks: drawn here when absent.

        Returns:
            the whole sequence, the shape of `pose`.
        """
        batch, frames, _, d = pose.shape
        masks = masks or draw_masks(batch, frames, device=pose.device)
        rows = torch.arange(batch, device=pose.device).unsqueeze(1)
        kept, missing = pose[rows, masks.visible], masks.joints[rows, masks.visible].to(pose.dtype)
        encode = self.mpm.encode_frame if d == 2 else self.mpm.encode_frame_3d
        features = encode(kept.flatten(0, 1), missing.flatten(0, 1))[:, : self.mpm.dim]
        tokens = features.unflatten(0, (batch, -1)) + self.mpm.temporal.position[masks.visible]  # [B,n,D]
        tokens = self.mpm.temporal(tokens)
        decoder = self.decoder_2d if d == 2 else self.decoder_3d
        return decoder(tokens, masks.visible)

    def loss(self, pose: Tensor, masks: Masks | None = None) -> Tensor:
        """Weighted mean distance of joints over the whole sequence, masked or not; a scalar."""
        return LOSS_WEIGHT[pose.shape[-1]] * (self(pose, masks) - pose).norm(dim=-1).mean()
