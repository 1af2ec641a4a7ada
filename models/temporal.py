"""Temporal model: masked pose modelling (MPM) and its streaming form.

A frame's keypoints (or joints) pass a per-frame encoder and a spatial MLP shared by 2D and 3D; only then a
transformer mixes the frames of the window. So a frame's feature is computed once and kept, and the window needs
no invented frames: what does not exist is masked from attention.

What a frame shows depends on where its crop lies in the picture. So every frame is first turned into a camera that
looks straight at its crop (`models.view`), the network works in that camera's axes, and the joints are turned back
at the end. A frame's feature is its token for the transformer, then what it carries past the transformer: the pose
that the frame alone suggests (a per-frame decoder's where there is one, else a linear guess) and the view. The
sequence head gives what time changes about those poses, so that a network that has learned nothing yet is as good as
the per-frame decoder.

Stage I (pre-training by masking) is `models.pretraining`. Stage II lifts: `MPM.lift` gives the whole sequence
by a linear head and one frame by the strided decoder. The live path uses `encode_frame` and `window`.
Sizes of the paper: width 256, feed-forward 512, 8 heads, 243 frames; 7.01 M parameters with 4 shared layers,
7.54 M with 5 (the paper's own table is of 5, its text says 4).
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.contracts import LIVE_READ, LOOKAHEADS, TOKEN, WINDOW
from engines.skeleton import PELVIS, J
from models.layers import ALL, MASKED_LOGIT, Attention, TransformerLayer, key_mask
from models.view import NUMBERS, filled, from_view, into_view, keypoints_in_view, view_of

STRIDES: Final = {27: (3, 3, 3), 81: (3, 3, 3, 3), 243: (3, 3, 3, 3, 3), 351: (3, 9, 13)}
"""Strides of the decoder for each window length; they multiply to the length."""

SLOPE: Final = 0.2
TYPICAL_WIDTH: Final = 0.2
"""Height of a usual crop in focal lengths: an athlete 10 m away."""


class _DenseNorm(nn.Module):
    """1x1 convolution, BN, LeakyReLU 0.2, dropout on vectors [N,C]."""

    def __init__(self, c_in: int, c_out: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.norm, self.drop = nn.Linear(c_in, c_out), nn.BatchNorm1d(c_out), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[N,c_in] -> [N,c_out]."""
        return self.drop(functional.leaky_relu(self.norm(self.linear(x)), SLOPE))


class SpatialMLP(nn.Module):
    """Residual block of two dense layers and a projection, shared by 2D and 3D: [N,512] -> [N,256]."""

    def __init__(self, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dense1, self.dense2 = _DenseNorm(hidden, hidden, dropout), _DenseNorm(hidden, hidden, dropout)
        self.out = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[N,hidden] -> [N,dim]."""
        return self.out(x + self.dense2(self.dense1(x)))


def sinusoids(frames: int, dim: int) -> Tensor:
    """Positions [frames,dim] to start from: sines and cosines of 1 to 0.005 rad a frame (Vaswani et al. 2017).

    Learned from noise, 243 positions would each have to find out where they lie; short windows show few of them.
    """
    angle = torch.arange(frames).unsqueeze(1) * torch.logspace(0, -2.3, dim // 2)
    return torch.cat([angle.sin(), angle.cos()], 1)


class TemporalEncoder(nn.Module):
    """Learned positions and pre-norm transformer layers over the frames of a window."""

    def __init__(self, frames: int, dim: int, heads: int, ffn: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.position = nn.Parameter(0.1 * sinusoids(frames, dim))
        self.layers = nn.ModuleList(TransformerLayer(dim, heads, ffn, dropout) for _ in range(layers))

    def forward(self, tokens: Tensor, mask: Tensor | None = None, kept: slice = ALL) -> Tensor:
        """[B,T,D] with positions already added -> [B,T,D], or of the tokens `kept` alone; `mask` [B,1,1 or T,T]."""
        for layer in self.layers[:-1]:
            tokens = layer(tokens, mask)
        if mask is not None and mask.shape[-2] > 1:
            mask = mask[..., kept, :]
        return self.layers[-1](tokens, mask, kept)


class StridedLayer(nn.Module):
    """Transformer layer whose feed-forward net shortens the sequence by `stride`.

    The skip is MaxPool(k=1, stride), that is every stride-th token beginning with token 0, and the
    convolution (k=3, stride, pad 1) is centred on the same tokens.
    """

    def __init__(self, dim: int, heads: int, ffn: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.conv1 = nn.Conv1d(dim, ffn, 1)
        self.conv2 = nn.Conv1d(ffn, dim, 3, stride, 1)
        self.drop, self.stride = nn.Dropout(dropout), stride

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """[B,T,D] and seen [B,T] -> [B,T/stride,D] and, for each new token, whether it saw a frame."""
        x = x + self.drop(self.attention(self.norm1(x), key_mask(seen)))
        y = self.norm2(x).transpose(1, 2)  # [B,D,T]
        y = self.conv2(self.drop(functional.relu(self.conv1(y)))).transpose(1, 2)  # [B,T/stride,D]
        seen = functional.max_pool1d(seen.unsqueeze(1), 3, self.stride, 1).squeeze(1)
        return x[:, :: self.stride] + self.drop(y), seen


class StridedDecoder(nn.Module):
    """Window to one frame; learned positions before the first three layers.

    Args:
        newest_first: reverse the window, so that the chain of skips, which ends at token 0, is anchored at
            the newest frame instead of the oldest. Set it for streaming and train with it.
    """

    def __init__(self, frames: int, dim: int, heads: int, ffn: int, dropout: float, newest_first: bool) -> None:
        super().__init__()
        strides = STRIDES[frames]
        # All three are of full length, as in the released code; the second and third use their first rows.
        self.position = nn.Parameter(torch.randn(3, frames, dim) * 0.02)
        self.layers = nn.ModuleList(StridedLayer(dim, heads, ffn, stride, dropout) for stride in strides)
        self.newest_first = newest_first

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """[B,T,D], [B,T] -> [B,D]."""
        if self.newest_first:
            x, seen = x.flip(1), seen.flip(1)
        for i, layer in enumerate(self.layers):
            if i < len(self.position):
                x = x + self.position[i, : x.shape[1]]
            x, seen = layer(x, seen)
        return x.squeeze(1)


class PoseHead(nn.Module):
    """BN and 1x1 convolution to joints: [N,D] -> [N,17*d]."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(dim), nn.Linear(dim, J * out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B,T,D] -> [B,T,17,d]."""
        pose = self.linear(self.norm(x.flatten(0, 1)))
        return pose.unflatten(0, (-1, x.shape[1])).unflatten(-1, (J, -1))


class MPM(nn.Module):
    """Encoders, shared spatial and temporal parts, strided decoder and heads.

    Args:
        frames: length of the window, a key of `STRIDES`.
        layers: shared transformer layers, 4 or 5 in the paper.
        dim, ffn, heads, hidden: widths of tokens, feed-forward nets, attention and the spatial MLP.
        mlp_dropout: of the per-frame part; 0.1 in stage I, 0.2 in stage II.
        dropout: of the transformer layers.
        newest_first: anchor of the strided decoder, see `StridedDecoder`.
        causal: a frame attends to itself and older ones only, so later frames never change its output.
    """

    def __init__(
        self,
        frames: int = WINDOW,
        layers: int = 4,
        dim: int = TOKEN,
        ffn: int = 512,
        heads: int = 8,
        hidden: int = 512,
        mlp_dropout: float = 0.2,
        dropout: float = 0.1,
        newest_first: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if frames not in STRIDES:
            raise ValueError(f"window of {frames} frames not possible; have {', '.join(map(str, STRIDES))}")
        self.frames, self.dim, self.causal = frames, dim, causal
        self.encoder_2d = _DenseNorm(J * 2, hidden, mlp_dropout)
        self.encoder_3d = _DenseNorm(J * 3, hidden, mlp_dropout)
        self.spatial = SpatialMLP(hidden, dim, mlp_dropout)
        self.temporal = TemporalEncoder(frames, dim, heads, ffn, layers, dropout)
        self.strided = StridedDecoder(frames, dim, heads, ffn, dropout, newest_first)
        self.sequence_head = PoseHead(dim, 3)
        # At first time changes nothing about the poses of the frames.
        nn.init.zeros_(self.sequence_head.linear.weight)
        nn.init.zeros_(self.sequence_head.linear.bias)
        self.frame_head = PoseHead(dim, 3)
        self.guess = nn.Linear(dim, J * 3)
        # What stands in for the coordinates of a masked or unmeasured joint (v_S in the paper).
        self.missing_2d = nn.Parameter(torch.zeros(2))
        self.missing_3d = nn.Parameter(torch.zeros(3))
        self.lookahead = nn.Embedding(len(LOOKAHEADS), dim)
        # Token of the input mode: joints alone, and keypoints with joints. Keypoints alone add nothing.
        self.mode = nn.Parameter(torch.zeros(2, dim))
        # How wide the crop is in focal lengths, that is how strong the perspective.
        self.width = nn.Linear(1, hidden, bias=False)
        nn.init.zeros_(self.width.weight)
        nn.init.normal_(self.lookahead.weight, std=0.02)
        not_root = torch.ones(J, 1)
        not_root[PELVIS] = 0.0
        self.register_buffer("not_root", not_root, persistent=False)
        later = torch.ones(frames, frames).triu(1) * MASKED_LOGIT
        self.register_buffer("later", later, persistent=False)

    def encode_frame(self, keypoints: Tensor, missing: Tensor, box: Tensor | None = None) -> Tensor:
        """Feature of single frames from keypoints.

        Args:
            keypoints: [B,17,2] crop units; values of missing joints are ignored, even NaN.
            missing: [B,17], 1 where the joint was not measured.
            box: [B,3] bearing of the crop's centre and its height in focal lengths. Without it the crop counts as
                lying in the middle of the picture, and the joints come out in the axes of a camera that looks at it.

        Returns:
            [B,256+53], token and what is carried, for `window`.
        """
        hidden, view = self.hidden_2d(keypoints, missing, box)
        token = self.spatial(hidden)
        nothing = torch.zeros_like(missing)
        return self.with_carried(token, token.new_zeros(len(token), J, 3), nothing, view)

    def encode_frame_3d(self, joints: Tensor, missing: Tensor, box: Tensor | None = None) -> Tensor:
        """As `encode_frame` from root-relative joints [B,17,3] in metres, without the mode token."""
        hidden, view = self.hidden_3d(joints, missing, box)
        return self.with_carried(self.spatial(hidden), joints, 1 - missing, view)

    def with_carried(self, token: Tensor, joints: Tensor, known: Tensor, view: Tensor) -> Tensor:
        """Features [N,D+53] of tokens [N,D], joints [N,17,3] in camera axes of which those `known` [N,17] count, and
        views [N,2]. The others are guessed from the token."""
        guess = self.guess(token).unflatten(1, (J, 3))
        use = known.unsqueeze(-1) > 0.5
        carried = torch.where(use, into_view(torch.where(use, joints, 0.0), view), guess)
        return torch.cat([token, carried.flatten(1), view], 1)

    def hidden_2d(self, keypoints: Tensor, missing: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the shared part takes, [B,512], and the view [B,2]; arguments as of `encode_frame`."""
        box = _central(keypoints) if box is None else box
        gone = missing.unsqueeze(-1) > 0.5
        turned = keypoints_in_view(torch.where(gone, 0.0, keypoints), box)
        hidden = self.encoder_2d(torch.where(gone, self.missing_2d, turned).flatten(1))
        return hidden + self.width(_log_width(box)), view_of(box)

    def hidden_3d(self, joints: Tensor, missing: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `hidden_2d` from joints."""
        view = view_of(_central(joints) if box is None else box)
        gone = missing.unsqueeze(-1) > 0.5
        turned = into_view(torch.where(gone, 0.0, joints), view)
        return self.encoder_3d(torch.where(gone, self.missing_3d, turned).flatten(1)), view

    def fuse_frame(
        self,
        keypoints: Tensor,
        keypoints_missing: Tensor,
        joints: Tensor,
        joints_missing: Tensor,
        use_2d: Tensor,
        use_3d: Tensor,
        box: Tensor | None = None,
    ) -> Tensor:
        """Feature from both modalities: their sum and a token of the mode.

        The three input modes share all weights: lift (keypoints alone), denoise (joints of a per-frame decoder alone)
        and fuse (both).

        Args:
            keypoints, keypoints_missing: [B,17,2], [B,17] as in `encode_frame`.
            joints, joints_missing: [B,17,3], [B,17] as in `encode_frame_3d`.
            use_2d, use_3d: [B], 1 where that modality is present, 0 where it is dropped; never both 0.
            box: [B,3] as in `encode_frame`.

        Returns:
            [B,256+53]; with use_3d = 0 exactly `encode_frame`.
        """
        flat, view = self.hidden_2d(keypoints, keypoints_missing, box)
        deep, _ = self.hidden_3d(joints, joints_missing, box)
        flat, deep = self.spatial(flat), self.spatial(deep)
        use_2d, use_3d = use_2d.unsqueeze(1), use_3d.unsqueeze(1)
        mode = use_3d * torch.where(use_2d > 0.5, self.mode[1], self.mode[0])
        return self.with_carried(use_2d * flat + use_3d * deep + mode, joints, use_3d * (1 - joints_missing), view)

    def mix(self, features: Tensor, seen: Tensor, lookahead: Tensor, kept: slice = ALL) -> Tensor:
        """Temporal part: features [B,T,256+53], [B,T], [B] int64 -> tokens [B,T,256], or of the frames `kept` alone.

        Fewer frames than the window has are its newest.
        """
        newest = slice(self.frames - seen.shape[1], None)
        # Nothing of an unseen frame enters.
        frames = torch.where(seen.unsqueeze(-1) > 0.5, features[..., : self.dim], 0.0)
        mask = key_mask(seen)  # [B,1,1,T]
        if self.causal:
            mask = mask + self.later[newest, newest]  # [B,1,T,T]
        tokens = frames + self.temporal.position[newest] + self.lookahead(lookahead).unsqueeze(1)
        return self.temporal(tokens, mask, kept)

    def window(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> Tensor:
        """Joints of every frame of a window.

        Args:
            features: [B,243,256+53] of `encode_frame`, oldest first; rows of unseen frames are ignored.
            seen: [B,243], 1 where the frame exists.
            lookahead: [B] index in `LOOKAHEADS`: how far behind the newest frame the wanted one lies.

        Returns:
            [B,243,17,3], root-relative, camera axes, metres; in unseen frames an interpolation.
        """
        tokens = self.mix(features, seen, lookahead)
        return self.poses(tokens, features, seen)

    def newest(self, features: Tensor, seen: Tensor, lookahead: Tensor, read: int = LIVE_READ) -> Tensor:
        """Joints of the newest frames of a stream, from a window in which only its newest n frames may be seen.

        Args:
            features, seen, lookahead: as of `window`, [B,n,256+53], [B,n], [B].
            read: of how many frames, at most n.

        Returns:
            [B,read,17,3], the newest last: what `window` gives with older frames unseen, but a frame that nobody saw
            takes the view of one among these.
        """
        kept = slice(seen.shape[1] - read, None)
        tokens = self.mix(features, seen, lookahead, kept)
        return self.poses(tokens, features[:, kept], seen[:, kept])

    def poses(self, tokens: Tensor, features: Tensor, seen: Tensor) -> Tensor:
        """Joints [B,T,17,3] in camera axes from mixed tokens [B,T,256] and the features [B,T,256+53] they came from."""
        pose, view = self.carried(features, seen)
        return from_view((pose + self.sequence_head(tokens)) * self.not_root, view)

    def carried(self, features: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Poses [B,T,17,3] and views [B,T,2] of features; an unseen frame has those of the nearest seen one."""
        pose, view = filled(features[..., self.dim :], seen).split([3 * J, NUMBERS], -1)
        return pose.unflatten(-1, (J, 3)), view

    def decode(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> tuple[Tensor, Tensor]:
        """Both outputs of stage II: one frame [B,17,3] by the strided decoder, the sequence [B,T,17,3].

        The single frame comes in the view of the newest one.
        """
        tokens = self.mix(features, seen, lookahead)
        one = self.frame_head(self.strided(tokens, seen).unsqueeze(1)) * self.not_root
        _, view = self.carried(features, seen)
        return from_view(one, view[:, -1:]).squeeze(1), self.poses(tokens, features, seen)

    def lift(
        self, keypoints: Tensor, missing: Tensor, seen: Tensor, lookahead: Tensor, box: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Keypoint window to joints.

        Args:
            keypoints, missing: [B,T,17,2], [B,T,17].
            seen, lookahead: [B,T], [B].
            box: [B,T,3] as in `encode_frame`.

        Returns:
            the wanted frame [B,17,3] and the sequence [B,T,17,3]. With `causal` only the sequence is causal.
        """
        flat_box = None if box is None else box.flatten(0, 1)
        features = self.encode_frame(keypoints.flatten(0, 1), missing.flatten(0, 1), flat_box)
        return self.decode(features.unflatten(0, (-1, self.frames)), seen, lookahead)

    def forward(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> Tensor:
        """The same as `window`."""
        return self.window(features, seen, lookahead)


def _central(like: Tensor) -> Tensor:
    """The box [B,3] of a crop in the middle of the picture."""
    return like.new_tensor([0.0, 0.0, TYPICAL_WIDTH]).expand(len(like), 3)


def _log_width(box: Tensor) -> Tensor:
    return torch.log(box[:, 2:].clamp_min(1e-3) / TYPICAL_WIDTH)
