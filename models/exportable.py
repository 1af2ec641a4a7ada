"""Each network in the clothes of its contract: uint8 pictures in, probabilities out, the contract's names.

`exportable(network, model)` gives a module whose forward takes exactly the inputs of `engines.contracts` (same
names, shapes, types) and returns exactly its outputs in order. Pictures are normalised inside with ImageNet's mean
and standard deviation, so that no caller can forget it.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from engines.contracts import (
    CROP_H,
    CROP_W,
    DIFFUSION_DECODER,
    ENCODERS,
    HEATMAP_STRIDE,
    LOOKAHEADS,
    MLP_DECODER,
    POSE2D_ENCODER,
    POSE3D_ENCODER,
    STN,
    TEMPORAL_FRAME,
    TEMPORAL_LIVE,
    TEMPORAL_WINDOW,
    Contract,
    encoder,
)

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

CONTRACTS: Final = {
    contract.network: contract
    for contract in (
        STN,
        *(encoder(variant) for variant in ENCODERS),
        POSE2D_ENCODER,
        POSE3D_ENCODER,
        MLP_DECODER,
        DIFFUSION_DECODER,
        TEMPORAL_FRAME,
        TEMPORAL_WINDOW,
        TEMPORAL_LIVE,
    )
}
"""Contract of every network that can be exported, by its name."""


class Normalise(nn.Module):
    """uint8 RGB [B,h,w,3] -> ImageNet-normalised float [B,3,h,w]."""

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("gain", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("offset", (-mean / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        """[B,h,w,3] uint8 -> [B,3,h,w]."""
        return picture.permute(0, 3, 1, 2).to(torch.float32) * self.gain + self.offset


class STNContract(nn.Module):
    """`STN` contract."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.normalise, self.model = Normalise(), model

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Picture to theta [B,4] and presence [B,1]."""
        theta, logit = self.model(self.normalise(picture))
        return theta, torch.sigmoid(logit)


class EncoderContract(nn.Module):
    """`encoder(variant)` contract; a network trained on smaller pictures gets such, and its maps are enlarged."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.normalise, self.model = Normalise(), model
        self.working_px = tuple(getattr(model, "working_px", (CROP_H, CROP_W)))

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """Crop to heat maps that sum to one, [B,17,64,48], and embedding [B,1024]."""
        picture = self.normalise(crop)
        if self.working_px != (CROP_H, CROP_W):
            picture = resized(picture, *self.working_px)
        logits, embedding = self.model(picture)
        if self.working_px != (CROP_H, CROP_W):
            logits = resized(logits, CROP_H // HEATMAP_STRIDE, CROP_W // HEATMAP_STRIDE)
        return torch.softmax(logits.flatten(2), dim=2).view(logits.shape), embedding


def resized(maps: Tensor, height: int, width: int) -> Tensor:
    """[B,C,h,w] -> [B,C,height,width], bilinear; the corners of the pictures, not of their pixels' centres, agree."""
    return functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)


class TemporalFrameContract(nn.Module):
    """`TEMPORAL_FRAME` contract: the per-frame part of an `MPM` alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, keypoints: Tensor, missing: Tensor, box: Tensor, decoded: Tensor, use_decoded: Tensor) -> Tensor:
        """[B,17,2], [B,17], [B,3], [B,17,3], [B] -> feature [B,256]."""
        nothing = torch.zeros_like(missing)
        return self.model.fuse_frame(
            keypoints, missing, decoded, nothing, torch.ones_like(use_decoded), use_decoded, box
        )


class TemporalWindowContract(nn.Module):
    """`TEMPORAL_WINDOW` contract: the window part of an `MPM` alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> Tensor:
        """[B,243,256], [B,243], [B] int64 -> joints [B,243,17,3]."""
        return self.model.window(features, seen, lookahead)


class TemporalLiveContract(nn.Module):
    """`TEMPORAL_LIVE` contract: the window part of an `MPM`, over the newest frames alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, seen: Tensor, lookahead: Tensor) -> Tensor:
        """[B,61,309], [B,61], [B] int64 -> joints [B,40,17,3]."""
        return self.model.newest(features, seen, lookahead)


_WRAPPERS: Final[dict[str, Callable[[nn.Module], nn.Module]]] = {
    STN.network: STNContract,
    **{encoder(variant).network: EncoderContract for variant in ENCODERS},
    TEMPORAL_FRAME.network: TemporalFrameContract,
    TEMPORAL_WINDOW.network: TemporalWindowContract,
    TEMPORAL_LIVE.network: TemporalLiveContract,
}


def exportable(network: str, model: nn.Module) -> nn.Module:
    """`model` as its contract demands, in evaluation mode.

    Args:
        network: a key of `CONTRACTS`.
        model: `STN` without rotation, `HRNet`, `PoseEncoder2D`, `PoseEncoder3D`, `MLPDecoder` of out_dim 3,
            `Sampler` (diffusion_decoder) or `MPM` (the temporal networks).

    Raises:
        ValueError: unknown network.
    """
    if network not in CONTRACTS:
        raise ValueError(f"network {network!r} unknown; have {', '.join(CONTRACTS)}")
    wrap = _WRAPPERS.get(network)
    return (model if wrap is None else wrap(model)).eval()


def example_inputs(contract: Contract, free: dict[str, int], seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of the right names, shapes and types, with the free axes of lengths `free` (say B=2, H=5)."""
    generator = torch.Generator().manual_seed(seed)
    highest = {"modality": 3, "lookahead": len(LOOKAHEADS)}
    inputs = {}
    for tensor in contract.inputs:
        shape = [free[axis] if isinstance(axis, str) else axis for axis in tensor.shape]
        if tensor.dtype == "float32" and tensor.name in ("seen", "missing", "confidence", "use_decoded"):
            inputs[tensor.name] = (torch.rand(shape, generator=generator) < 0.8).float()
        elif tensor.name == "box":  # within 20 degrees of the axis, and in front of the camera
            inputs["box"] = torch.rand(shape, generator=generator) * 0.4 + torch.tensor([-0.2, -0.2, 0.05])
        elif tensor.dtype == "float32":
            inputs[tensor.name] = torch.randn(shape, generator=generator)
        elif tensor.dtype == "uint8":
            inputs[tensor.name] = torch.randint(256, shape, generator=generator).to(torch.uint8)
        else:
            inputs[tensor.name] = torch.randint(highest[tensor.name], shape, generator=generator)
    return inputs


def dynamic_shapes(contract: Contract) -> dict[str, dict[int, Dim]]:
    """For `torch.export`: the free axes of every input."""
    free = {axis: Dim(axis) for tensor in contract.inputs for axis in tensor.shape if isinstance(axis, str)}
    return {
        tensor.name: {i: free[axis] for i, axis in enumerate(tensor.shape) if isinstance(axis, str)}
        for tensor in contract.inputs
    }
