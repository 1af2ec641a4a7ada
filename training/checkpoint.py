"""Checkpoints: one safetensors file with weights, averaged weights and optimiser, its header as JSON in the metadata.

Written to a neighbour file and renamed, so that a kill at any moment leaves the previous checkpoint whole.
"""

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engines.skeleton import JOINT_NAMES
from training.errors import TrainingError, unwritable

LAST: Final = "last.safetensors"
MUST_AGREE: Final = ("joint_names", "data_scale", "rate_hz", "window")
"""Header entries that change the meaning of the weights; a checkpoint that differs in one is refused."""


def save(
    path: Path,
    modules: nn.ModuleDict,
    average: nn.ModuleDict,
    optimiser: torch.optim.Optimizer,
    header: dict[str, Any],
) -> None:
    """Writes everything a resume and an export need; TrainingError where the place cannot be written."""
    tensors = {f"model/{k}": v for k, v in modules.state_dict().items()}
    tensors |= {f"ema/{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{k}": torch.as_tensor(v) for k, v in state.items()}
    header = {"joint_names": list(JOINT_NAMES), **header}
    temporary = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()},
            temporary,
            {"header": json.dumps(header)},
        )
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None


def read_header(path: Path) -> dict[str, Any]:
    """Header of a checkpoint; TrainingError where it is missing or unreadable."""
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["header"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: no readable checkpoint ({error}); train the recipe first") from None


def read(path: Path, part: str) -> dict[str, Tensor]:
    """Tensors of one part: `model`, `ema` or `optimiser`, names without the part."""
    read_header(path)
    with safe_open(path, "pt") as file:
        return {k.split("/", 1)[1]: file.get_tensor(k) for k in file.keys() if k.startswith(part + "/")}  # noqa: SIM118


def holds(path: Path, module: str) -> bool:
    """Whether the checkpoint has averaged weights of the module of this name."""
    read_header(path)
    with safe_open(path, "pt") as file:
        return any(k.startswith(f"ema/{module}.") for k in file.keys())  # noqa: SIM118


def load(
    path: Path,
    modules: nn.ModuleDict,
    average: nn.ModuleDict,
    optimiser: torch.optim.Optimizer,
    expected: dict[str, Any],
) -> dict[str, Any]:
    """Restores a run; TrainingError where the header disagrees with what this recipe would write."""
    header = read_header(path)
    for key in MUST_AGREE:
        wanted = {"joint_names": list(JOINT_NAMES), **expected}.get(key)
        if header.get(key) != wanted:
            raise TrainingError(f"{path}: {key} is {header.get(key)}, this recipe has {wanted}; choose another --out")
    try:
        modules.load_state_dict(read(path, "model"))
        average.load_state_dict(read(path, "ema"))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(f"{path}: other network than this recipe's ({reason}); choose another --out") from None
    _load_optimiser(read(path, "optimiser"), optimiser)
    return header


def _load_optimiser(tensors: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def initialise(path: Path, modules: nn.ModuleDict) -> int:
    """Copies averaged weights of another run into tensors of the same name and shape; returns how many."""
    found = read(path, "ema")
    mine = modules.state_dict()
    matching = {k: v for k, v in found.items() if k in mine and mine[k].shape == v.shape}
    if not matching:
        raise TrainingError(f"{path}: shares no tensor with this recipe; check init_from")
    modules.load_state_dict(matching, strict=False)
    return len(matching)
