"""Checkpoints of HRNet's authors, and of mmpose, into our network.

Both name the tensors of the network as `models.hrnet` does, mmpose behind `backbone.` and `keypoint_head.` or `head.`.
Heat maps are taken joint by joint. Files trained on ImageNet bring no heat maps, and a multi-scale end that is not
used. Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from engines.skeleton import JOINT_NAMES
from models.hrnet import VARIANTS, HRNet

COCO_JOINTS: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""Meaning of the heat maps in checkpoints trained on COCO."""
MPII_JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""Meaning of the heat maps in checkpoints trained on MPII."""
HEADS: Final = {"coco": COCO_JOINTS, "mpii": MPII_JOINTS, "h36m": JOINT_NAMES}
"""Order of the heat maps by the name of the data set; `h36m` is our own skeleton."""
NEAR: Final = {"upper_neck": "nose", "head_top": "head"}
"""MPII's joint and ours that lies a few centimetres away. COCO's nose is no counterpart: ours is the skull's base."""
PREFIXES: Final = ("module.", "model.", "backbone.", "keypoint_head.", "head.")
GAIN: Final = 10.0
"""Factor of the imported maps. Theirs are Gaussians of height 1; ours are logits of a soft-max over 64 x 48 cells, in
which ten times such a Gaussian holds 0.95 of the probability within 3 cells of its peak."""
WIDTH_KEY: Final = "stage2.0.branches.0.0.conv1.weight"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What `load_official` did.

    `taken`, `new`: our tensors filled and left as they were; `joints`, `joints_new`: the same of heat maps;
    `unused`: tensors of the file without use.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    joints: tuple[str, ...]
    joints_new: tuple[str, ...]
    unused: tuple[str, ...]


def plain_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names of HRNet's authors, whatever prefixes they carry."""
    plain = {}
    for key, value in state_dict.items():
        while prefix := next((p for p in PREFIXES if key.startswith(p)), ""):
            key = key.removeprefix(prefix)
        plain[key] = value
    return plain


def variant_of(state_dict: Mapping[str, Tensor]) -> str:
    """Name of the variant whose width the file has; ValueError when it is no HRNet or of no width we build."""
    weight = plain_names(state_dict).get(WIDTH_KEY)
    if weight is None:
        raise ValueError(f"no tensor {WIDTH_KEY}: is it a pose_hrnet file?")
    fitting = [name for name, variant in VARIANTS.items() if variant.width == weight.shape[0]]
    if not fitting:
        raise ValueError(f"an HRNet of width {weight.shape[0]}; have {', '.join(VARIANTS)}")
    return fitting[0]


def load_official(model: HRNet, state_dict: Mapping[str, Tensor], joints: tuple[str, ...] | None = None) -> LoadReport:
    """Copy a checkpoint of HRNet's authors or of mmpose into `model`.

    Args:
        model: network to fill.
        state_dict: the checkpoint's tensors; prefixes as in `PREFIXES` are dropped.
        joints: meaning of the checkpoint's heat maps; None: COCO's when there are 17, MPII's when there are 16.

    Raises:
        ValueError: another network or variant, a tensor of another shape, not finite, or heat maps of other joints.
            The model is then unchanged.
    """
    own, source = model.state_dict(), plain_names(state_dict)
    body = [key for key in own if not key.startswith(("final_layer.", "embed."))]
    _check_body(model, source, {key: own[key] for key in body})
    taken = {key: source[key] for key in body if key in source}
    found = _head(source, own, joints)
    if found:
        taken |= found[0]
    model.load_state_dict(taken, strict=False)
    known = tuple(name for name in JOINT_NAMES if found and name in found[1])
    return LoadReport(
        tuple(taken),
        tuple(key for key in own if key not in taken),
        known,
        tuple(name for name in JOINT_NAMES if name not in known),
        tuple(key for key in source if key not in taken),
    )


def _check_body(model: HRNet, source: Mapping[str, Tensor], body: Mapping[str, Tensor]) -> None:
    counters = "num_batches_tracked"  # not in files of old versions of torch
    missing = [key for key in body if key not in source and not key.endswith(counters)]
    if len(missing) > len(body) // 2:
        raise ValueError(f"{len(missing)} of {len(body)} tensors of HRNet {model.variant} missing: a pose_hrnet file?")
    if missing:
        raise ValueError(f"tensor {missing[0]} of HRNet {model.variant} missing; choose the variant of the checkpoint")
    for key, value in body.items():
        if key in source and source[key].shape != value.shape:
            raise ValueError(
                f"checkpoint tensor {key} is {tuple(source[key].shape)}, HRNet {model.variant} needs "
                f"{tuple(value.shape)}; choose the variant the checkpoint was trained with"
            )
        if key in source and not torch.isfinite(source[key].float()).all():
            raise ValueError(f"checkpoint tensor {key} is not finite; get the file anew")
    end = f"stage4.{len(model.stage4) - 1}.fuse_layers."  # more outputs there in files trained on ImageNet
    deeper = [k for k in source if k.startswith(("layer1.", "stage")) and k not in body and not k.startswith(end)]
    if deeper:  # every name of a shallow variant is also one of a deep variant
        raise ValueError(
            f"checkpoint has {deeper[0]}, HRNet {model.variant} has not: deeper; choose the variant of the checkpoint"
        )


def _head(
    source: Mapping[str, Tensor], own: Mapping[str, Tensor], joints: tuple[str, ...] | None
) -> tuple[dict[str, Tensor], set[str]] | None:
    """The final layer with the checkpoint's rows where a joint has a counterpart, and those joints; None without."""
    weight, bias = source.get("final_layer.weight"), source.get("final_layer.bias")
    if weight is None or bias is None or weight.shape[1:] != own["final_layer.weight"].shape[1:]:
        if joints is not None:
            raise ValueError("the checkpoint holds no heat maps of this variant; name no joints to take its body alone")
        return None
    if joints is None:
        joints = next((names for names in (COCO_JOINTS, MPII_JOINTS) if len(names) == len(weight)), None)
    if joints is None or len(joints) != len(weight):
        expected = "17 (COCO) or 16 (MPII)" if joints is None else str(len(joints))
        raise ValueError(f"the checkpoint has {len(weight)} heat maps, expected {expected}; choose the joints it has")
    rows = _counterparts(joints)
    gain = 1.0 if joints == JOINT_NAMES else GAIN
    filled = {name: own[f"final_layer.{name}"].clone() for name in ("weight", "bias")}
    for ours, theirs in rows.items():
        filled["weight"][JOINT_NAMES.index(ours)] = weight[theirs].float() * gain
        filled["bias"][JOINT_NAMES.index(ours)] = bias[theirs].float() * gain
    return {f"final_layer.{name}": value for name, value in filled.items()}, set(rows)


def _counterparts(joints: tuple[str, ...]) -> dict[str, int]:
    """Row of the checkpoint's final layer for each of our joints that has one."""
    named = {NEAR.get(name, name): row for row, name in enumerate(joints)}
    return {name: named[name] for name in JOINT_NAMES if name in named and (joints != COCO_JOINTS or name != "nose")}
