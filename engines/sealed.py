"""A built engine with a line before it that says what it is for, and by which damage is noticed.

TensorRT itself may crash on damaged bytes, and tells late that an engine was built for another GPU.
"""

import json
from hashlib import sha256
from typing import Final

from engines.errors import BackendError

NO_GPU: Final = "none"
"""In the place of a GPU's facts: built where there was none."""
_MAGIC: Final = b"posecast engine 1\n"


def seal(engine: bytes, network: str, known: dict[str, str]) -> bytes:
    """The engine behind a line that says what it is for and how to tell that it is whole."""
    header = {"network": network, "bytes": len(engine), "sha256": sha256(engine).hexdigest(), **known}
    return _MAGIC + json.dumps(header).encode() + b"\n" + engine


def unsealed(data: bytes, network: str) -> tuple[dict[str, str], memoryview]:
    """What a sealed engine is for, and the engine. Raises BackendError when it is not whole or of another network."""
    end = data.find(b"\n", len(_MAGIC))
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("the first line is missing")
        header = json.loads(data[len(_MAGIC) : end])
        size, digest, built_for = int(header["bytes"]), str(header["sha256"]), str(header["network"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(f"{network}: not an engine of posecast ({error}); build it again") from error
    engine = memoryview(data)[end + 1 :]
    if len(engine) != size or sha256(engine).hexdigest() != digest:
        raise BackendError(
            f"{network}: the engine is damaged or cut short ({len(engine)} of {size} bytes); build it again"
        )
    if built_for != network:
        raise BackendError(f"{network}: the engine is one of {built_for}; build it again")
    return {name: str(value) for name, value in header.items()}, engine


def refuse_other(header: dict[str, str], known: dict[str, str]) -> None:
    """Raises BackendError when an engine was built by another library or for another GPU than what is here."""
    portable = header.get("compute_capability") == NO_GPU and header.get("library", "").startswith("tensorrt_rtx")
    for name in ("library",) if portable else ("library", "compute_capability", "gpu"):
        if header.get(name) != known[name]:
            raise BackendError(
                f"{header['network']}: the engine was built for {name.replace('_', ' ')} {header.get(name)}, "
                f"here is {known[name]}; build it again"
            )
