"""Arrays that a user brings in an .npz file; nothing in it is executed."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Array = NDArray[Any]


def read_npz(path: Path, layout: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays `needed`, and those of `optional` that are there, by name.

    Raises TrainingError, ending in `layout`, when the file is missing, is none, is cut off or lacks an array.
    """
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise TrainingError(f"{path}: one array, not an .npz file of several; {layout}")
            missing = next((name for name in needed if name not in file), None)
            if missing is not None:
                raise TrainingError(f"{path}: no array {missing!r}; {layout}")
            return {name: file[name] for name in (*needed, *optional) if name in file}
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error}); {layout}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise TrainingError(f"{path}: not a whole .npz file of plain arrays; {layout}") from None


def numbers(path: Path, name: str, array: Array, kind: type[np.generic]) -> Array:
    """`array` as numbers of `kind`; TrainingError where it holds something else."""
    if array.dtype.kind not in "biuf":
        raise TrainingError(f"{path}: {name} holds no numbers ({array.dtype}); restore the file")
    return array.astype(kind)
