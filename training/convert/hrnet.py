"""A checkpoint of HRNet's authors or of mmpose as a run of ours: `posecast import hrnet`."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.hrnet import VARIANTS, build
from models.hrnet_official import HEADS, LoadReport, load_official, variant_of
from training import checkpoint
from training.convert.manifest import file_sha256
from training.errors import TrainingError

WRAPPERS: Final = ("state_dict", "best_state_dict", "model")
"""Names under which checkpoints keep their tensors beside other things."""


@dataclass(frozen=True)
class Imported:
    """What was written, of which variant, and what of the file it holds."""

    checkpoint: Path
    variant: str
    report: LoadReport


def import_hrnet(file: Path, variant: str = "", out: Path | None = None, joints: str = "") -> Imported:
    """Write `out/last.safetensors` from a state dict; what has no counterpart starts as in a new network.

    `variant`: a key of `VARIANTS`, empty: by the file's width; `joints`: a key of `HEADS`, empty: by the number of
    heat maps. TrainingError when the file is unreadable, another network, or `out` holds a run already.
    """
    if variant and variant not in VARIANTS:
        raise TrainingError(f"variant {variant!r} unknown; have {', '.join(VARIANTS)}")
    if joints and joints not in HEADS:
        raise TrainingError(f"joints {joints!r} unknown; have {', '.join(HEADS)}")
    state = read_state_dict(file)
    try:
        variant = variant or variant_of(state)
        target = (out or Path("runs") / f"hrnet_{variant}") / checkpoint.LAST
        if target.exists():
            raise TrainingError(f"{target} exists: choose another --out")
        torch.manual_seed(0)  # the same file gives the same checkpoint
        network = build(variant)
        report = load_official(network, state, HEADS[joints] if joints else None)
    except ValueError as error:
        raise TrainingError(f"{file}: {error}") from None
    modules = nn.ModuleDict({"hrnet": network})
    origin = f"HRNet {variant} imported from {file.name}, SHA-256 {file_sha256(file)[:16]}"
    header: dict[str, Any] = {
        "recipe": origin,
        "variant": variant,
        "data": f"not known to this project: {origin}",
        "step": 0,
        "samples": 0,
        "elapsed_s": 0.0,
        "figures": {},
        "options": {},
    }
    checkpoint.save(target, modules, modules, torch.optim.AdamW(modules.parameters()), header)
    return Imported(target, variant, report)


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors or .pth file; nothing in the file is executed. TrainingError when it is neither."""
    try:
        content: Any = load_file(file) if file.suffix == ".safetensors" else _load_pickle(file)
    except FileNotFoundError:
        raise TrainingError(f"{file}: no such file") from None
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise TrainingError(f"{file}: not a checkpoint that can be read ({reason}); get the file anew") from None
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise TrainingError(f"{file}: no state dict (tensors by name); save the network's state_dict() alone")
    return tensors


def _load_pickle(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other pickle protocols; what cannot be read is an error anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise TrainingError(
            f"{file}: holds more than tensors, which is refused because it could run code, or is damaged; "
            f"save its state_dict alone, best as .safetensors"
        ) from None
    except OSError:
        raise
    except Exception:  # torch raises whatever a damaged file makes it stumble over
        raise ValueError("damaged, or no file of torch's") from None
