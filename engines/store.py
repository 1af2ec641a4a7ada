"""Where the networks' files lie, and whether they are the ones that were shipped.

A folder of weights holds `NETWORK.onnx` for each network and `manifest.json`:
`{network: {"sha256", "bytes", ...}}`.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engines.errors import WeightsError

SHIPPED_WEIGHTS: Final = Path(__file__).resolve().parent.parent / "weights"
"""The folder beside the packages, in a checkout and when installed."""
MANIFEST: Final = "manifest.json"
EXAMPLES: Final = "examples.npz"
"""Inputs of every network by which an engine is checked; `engines.examples` reads them."""
ONLY_WEIGHTS: Final = frozenset({"pose2d_encoder", "mlp_decoder"})
"""Networks of whose int8 variant the weights alone are in whole numbers. They are many and each is used once a call: a
CPU spends its time fetching them, a GPU has no gain."""
_INT8: Final = ".int8"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest says about one file: SHA-256 in hexadecimal, size in bytes."""

    sha256: str
    size_bytes: int


def folder_of(weights: str | Path = "") -> Path:
    """The folder meant by a setting: empty is the shipped one."""
    return Path(weights).expanduser() if str(weights) else SHIPPED_WEIGHTS


def find(network: str, weights: str | Path = "") -> Path:
    """File of `network`. Raises WeightsError when there is none."""
    folder = folder_of(weights)
    path = folder / f"{network}.onnx"
    if path.is_file():
        return path
    have = ", ".join(sorted(file.stem for file in folder.glob("*.onnx"))) or "none"
    how = "posecast quantise" if network.endswith(_INT8) else "posecast export"
    raise WeightsError(
        f"network {network!r}: no file {path} (networks there: {have}); "
        f"point engines.weights to a folder that has it, or write it with `{how}`"
    )


def whole_numbers(network: str) -> str:
    """Name of the variant of `network` that computes in int8; it lies beside it and has a line of its own in the
    manifest."""
    return network + _INT8


def has(network: str, weights: str | Path = "") -> bool:
    """Whether the folder has a file of `network`."""
    return (folder_of(weights) / f"{network}.onnx").is_file()


def digest_of_examples(weights: str | Path = "") -> str:
    """SHA-256 of the inputs that engines of this folder are checked by, empty where there are none."""
    for folder in (folder_of(weights), SHIPPED_WEIGHTS):
        if (folder / EXAMPLES).is_file():
            return hashlib.sha256((folder / EXAMPLES).read_bytes()).hexdigest()
    return ""


def manifest(weights: str | Path = "") -> dict[str, Entry]:
    """What the folder's manifest lists, by network. Raises WeightsError when it is missing or unreadable."""
    path = folder_of(weights) / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: Entry(str(row["sha256"]).lower(), int(row["bytes"])) for name, row in data.items()}
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: missing; write it with `posecast export`") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not a manifest of sha256 and bytes per network ({error!r}); restore it from the "
            f"release or write it with `posecast export`"
        ) from error


def verify(network: str, weights: str | Path = "") -> Path:
    """File of `network`, whose size and SHA-256 are those in the manifest. Raises WeightsError otherwise."""
    path = find(network, weights)
    entry = manifest(weights).get(network)
    if entry is None:
        raise WeightsError(f"{path}: not listed in {MANIFEST}; write both with `posecast export`")
    _compare(path, entry)
    return path


def usable(network: str, weights: str | Path = "") -> Path:
    """File of `network` for a session: checked where the manifest lists it, taken as it is where it does not.

    The shipped folder is always checked; a folder of one's own needs no manifest. Raises WeightsError.
    """
    if folder_of(weights) == SHIPPED_WEIGHTS or _lists(network, weights):
        return verify(network, weights)
    return find(network, weights)


def _lists(network: str, weights: str | Path) -> bool:
    return (folder_of(weights) / MANIFEST).is_file() and network in manifest(weights)


def _compare(path: Path, entry: Entry) -> None:
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise WeightsError(
            f"{path}: {size} bytes, the manifest says {entry.size_bytes}; the copy is incomplete or another: "
            f"restore it from the release or write it with `posecast export`"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != entry.sha256:
        raise WeightsError(
            f"{path}: SHA-256 {digest[:12]}..., the manifest says {entry.sha256[:12]}...; it was altered: "
            f"restore it from the release or write it with `posecast export`"
        )
