"""Which versions made a result: written into hello messages, summaries and the doctor's table."""

import platform
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from engines.errors import WeightsError
from engines.store import manifest

LIBRARIES: Final = ("openvino", "onnxruntime", "numpy", "opencv-python-headless", "av", "pyzmq", "msgspec")


def posecast_version() -> str:
    """Version of the installed package; of the checkout where nothing is installed; else `unknown`."""
    try:
        return metadata.version("posecast")
    except metadata.PackageNotFoundError:
        return _checkout_version(Path(__file__).resolve().parents[2] / "pyproject.toml")


def _checkout_version(pyproject: Path) -> str:
    try:
        data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
        return str(data["project"]["version"])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return "unknown"


def package_version(distribution: str) -> str | None:
    """Version of an installed distribution; None where it is missing."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of posecast, Python and the libraries that shape the numbers."""
    found = {name: package_version(name) for name in LIBRARIES}
    return {"posecast": posecast_version(), "python": platform.python_version()} | {
        name: version for name, version in found.items() if version
    }


def weights_manifest(weights: str | Path = "") -> dict[str, str] | None:
    """SHA-256 by network from the manifest beside the weights; None where there is none."""
    try:
        return {name: entry.sha256 for name, entry in manifest(weights).items()}
    except WeightsError:
        return None


def made_with(weights: str | Path = "") -> dict[str, Any]:
    """Versions and weights that shape the numbers of a result made now, as a summary tells them."""
    return {"versions": versions(), "weights_sha256": weights_manifest(weights)}
