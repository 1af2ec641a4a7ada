"""One file a recipe, readable from top to bottom; `build` makes the recipe named in a command."""

import importlib
from typing import Any, Final

from training.errors import TrainingError
from training.loop import Recipe
from training.settings import Data

NAMES: Final = ("backbone", "align", "decode", "temporal", "track")
"""In the order they are trained: `align` draws the embedding of `backbone` to poses, `decode` reads poses from it."""


def build(name: str, settings: dict[str, Any], data: Data, seed: int) -> Recipe:
    """Recipe `name` with the table `recipe` of its configuration."""
    if name not in NAMES:
        raise TrainingError(f"recipe {name!r} unknown; have {', '.join(NAMES)}")
    module = importlib.import_module(f"training.recipes.{name}")
    recipe: Recipe = module.build(settings, data, seed)
    return recipe
