"""Settings of a training run: a TOML file with a table `loop` and a table `recipe`; unknown keys are refused."""

import difflib
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from training.errors import TrainingError

T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """Where a recipe finds its material."""

    root: Path
    """Folder with `crops/` and `scenes/`, as `posecast synth` writes them."""
    mocap: Path
    """Folder of motion capture files (*.npz)."""


def read_toml(path: Path) -> dict[str, Any]:
    """Tables of a training configuration; TrainingError where it cannot be read or holds other tables."""
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such configuration; see configs/train") from None
    except OSError as error:
        raise TrainingError(f"{path}: no configuration ({error.strerror}); see configs/train") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: not valid TOML: {error}") from None
    for key, table in tables.items():
        if key not in ("loop", "recipe") or not isinstance(table, dict):
            raise TrainingError(f"{path}: unknown table [{key}]; have [loop] and [recipe]")
    return tables


def typed(kind: type[T], table: dict[str, Any], where: str) -> T:
    """`kind` (a dataclass) filled from `table`.

    An unknown key is refused with the nearest valid name, a value of another type with the type that is wanted, and
    so is a number below 0: no setting has a use for one.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"have {', '.join(sorted(known))}"
            raise TrainingError(f"{where}: unknown key {key}; {hint}")
        try:
            if not isinstance(value, Path):
                msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            wanted = str(error).replace("Expected", "expected", 1)
            raise TrainingError(f"{where}: {key} is {value!r}; {wanted}") from None
        if isinstance(value, int | float) and not value >= 0:
            raise TrainingError(f"{where}: {key} is {value}; expected 0 or more")
    return kind(**table)
