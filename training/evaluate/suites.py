"""The suites by name, and how they are run: one, or all of which the data are there."""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engines.errors import EngineError
from training.errors import TrainingError
from training.evaluate.result import MaterialMissing, Request, Result


@dataclass(frozen=True)
class Suite:
    """Where a suite lies (`training.evaluate.MODULE`, a function of the same name) and what it measures."""

    module: str
    title: str
    in_all: bool = True


SUITES: Final = {
    "photos": Suite("photos", "Photographs of sport"),
    "synth-crops": Suite("synth_crops", "Synthetic crops"),
    "synth-dives": Suite("synth_dives", "Whole pipeline on rendered dives"),
    "lift": Suite("lift", "Poses from keypoints"),
    "occlusion": Suite("occlusion", "Missing joints and limbs"),
    "lookahead": Suite("lookahead", "Look-ahead"),
    "embedding": Suite("embedding", "Common embedding"),
    "perspective": Suite("perspective", "Off the optical axis"),
    "upright": Suite("upright", "Crops turned upright"),
    "flight": Suite("flight", "Free fall", in_all=False),
    "track": Suite("track", "Tracker on search windows"),
    "learning": Suite("learning", "Learning curves", in_all=False),
    "ablation": Suite("ablation", "Ablations", in_all=False),
}


def load(name: str) -> Callable[[Request], Result]:
    """The function of a suite. Raises TrainingError for an unknown name."""
    if name not in SUITES:
        raise TrainingError(f"suite {name!r} unknown; have {', '.join(SUITES)} and all")
    module = SUITES[name].module
    suite: Callable[[Request], Result] = getattr(importlib.import_module(f"training.evaluate.{module}"), module)
    return suite


def measure(name: str, request: Request) -> Result:
    """Run one suite. Raises TrainingError, MaterialMissing among them."""
    suite = load(name)
    started = time.monotonic()
    try:
        result = suite(request)
    except EngineError as error:
        raise TrainingError(str(error)) from None
    result.seconds = time.monotonic() - started
    return result


def measure_all(request: Request) -> tuple[list[Result], dict[str, str]]:
    """Every suite of `all`, and by name why the others were skipped. Raises TrainingError when none could be run."""
    results, skipped = [], {}
    for name, suite in SUITES.items():
        if not suite.in_all:
            continue
        try:
            results.append(measure(name, request))
        except MaterialMissing as error:
            skipped[name] = str(error)
    if not results:
        raise TrainingError(f"nothing to measure on: {'; '.join(skipped.values())}")
    return results, skipped
