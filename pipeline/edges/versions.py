"""Which versions made a result: written into hello messages, summaries and the doctor's table."""

import tomllib
from importlib import metadata
from pathlib import Path


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
