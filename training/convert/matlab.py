"""MATLAB files, read with scipy where it is installed."""

from pathlib import Path
from typing import Any

from training.errors import TrainingError


def read_mat(path: Path) -> dict[str, Any]:
    """Variables of a .mat file by name; TrainingError without scipy or when the file is broken."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise TrainingError(f'{path}: .mat files need scipy; pip install "posecast[data]"') from None
    try:
        return dict(loadmat(path))
    except Exception as error:  # scipy raises half a dozen unrelated types for broken files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"{path}: not a readable .mat file ({reason}); restore the file") from None
