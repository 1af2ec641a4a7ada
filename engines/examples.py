"""Inputs by which engines are checked: what each network meets live, fixed once and for all.

`examples.npz` in a folder of weights holds arrays `NETWORK/INPUT`, stacked along the batch axis; a folder without takes
the shipped ones. `training.quantise` writes them.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines import store
from engines.checks import bound_shapes
from engines.contracts import Contract
from engines.errors import BackendError, WeightsError

Array = NDArray[Any]


def examples_of(contract: Contract, weights: str | Path = "") -> dict[str, Array]:
    """Inputs of a network, stacked along the batch axis. Raises WeightsError when there are none."""
    path = store.folder_of(weights) / store.EXAMPLES
    if not path.is_file():
        path = store.SHIPPED_WEIGHTS / store.EXAMPLES
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            found = {tensor.name: file[f"{_key(contract)}/{tensor.name}"] for tensor in contract.inputs}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path}: no inputs to check {contract.network} by ({error}); restore it from the release or write it "
            "with `posecast quantise`"
        ) from error
    return {tensor.name: found[tensor.name].astype(tensor.dtype) for tensor in contract.inputs}


def one_by_one(stacked: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Each example as a batch of one."""
    for place in range(len(next(iter(stacked.values())))):
        yield {name: values[place : place + 1] for name, values in stacked.items()}


def _key(contract: Contract) -> str:
    """Encoders of all sizes see the same crops."""
    return "hrnet" if contract.network.startswith("hrnet_") else contract.network


def noise(contract: Contract, axes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    """Inputs of the right names, types and shapes: noise for pictures and floats, zeros for indices."""
    rng = np.random.default_rng(seed)
    shapes = bound_shapes(contract, axes)
    if shapes is None:
        raise BackendError(f"{contract.network}: no size for one of its free axes; have {', '.join(axes)}")
    made: dict[str, Array] = {}
    for tensor in contract.inputs:
        shape = shapes[tensor.name]
        if tensor.dtype == "uint8":
            made[tensor.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        elif tensor.dtype == "float32":
            made[tensor.name] = rng.standard_normal(shape, dtype=np.float32)
        elif tensor.dtype == "int64":
            made[tensor.name] = np.zeros(shape, dtype=np.int64)
        else:
            raise BackendError(f"{contract.network}: no example for an input of type {tensor.dtype}")
    return made
