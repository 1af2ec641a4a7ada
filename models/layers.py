"""Blocks shared by the pose networks: residual MLP, pre-norm transformer layer, vector group norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional

MASKED_LOGIT = -1.0e4
"""Added to the attention logit of a key that must not be seen.

exp(-1e4) is exactly 0 in single precision, the number still fits half precision, and unlike -inf it gives no
NaN when a whole window is masked.
"""

ALL = slice(None)
"""Every token of a sequence."""


class ResidualMLP(nn.Module):
    """x + W2 drop(relu(W1 LN(x))), the 2-layer residual block of UniHPE's MLPs; [..., width] -> same."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        return x + self.drop(self.fc2(self.drop(functional.relu(self.fc1(self.norm(x))))))


class GroupNormVector(nn.Module):
    """Group normalisation of the last axis; the same as `nn.GroupNorm` on [N,C], for any leading axes."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels cannot be split into {groups} groups")
        self.groups, self.size = groups, channels // groups
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        grouped = x.unflatten(-1, (self.groups, self.size))  # [..., groups, C/groups]
        return functional.layer_norm(grouped, (self.size,)).flatten(-2) * self.weight + self.bias


class Attention(nn.Module):
    """Multi-head self-attention with four separate projections; 4 (D^2 + D) parameters."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dimension {dim} cannot be split into {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B,heads,T,D/heads]

    def forward(self, x: Tensor, mask: Tensor | None = None, kept: slice = ALL) -> Tensor:
        """[B,T,D] -> [B,T,D], or of the tokens `kept` alone; `mask` is added to the logits, broadcastable to
        [B,heads,T,T] (T the kept ones, then all)."""
        q, k, v = self._split(self.query(x[:, kept])), self._split(self.key(x)), self._split(self.value(x))
        drop = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop)
        return self.out(y.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Pre-norm transformer encoder layer: attention and a ReLU feed-forward net, each with a skip."""

    def __init__(self, dim: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.fc1, self.fc2 = nn.Linear(dim, ffn), nn.Linear(ffn, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None, kept: slice = ALL) -> Tensor:
        """[B,T,D] -> [B,T,D]; or only the tokens `kept`, for a layer whose others nobody reads."""
        x = x[:, kept] + self.drop(self.attention(self.norm1(x), mask, kept))
        return x + self.drop(self.fc2(self.drop(functional.relu(self.fc1(self.norm2(x))))))


def key_mask(seen: Tensor) -> Tensor:
    """Additive attention mask [B,1,1,T] from `seen` [B,T], 1 where the key exists, else 0."""
    return ((1.0 - seen) * MASKED_LOGIT)[:, None, None, :]
