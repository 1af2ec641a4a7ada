"""How an athlete looks and is lit: skin, hair, clothes, lamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Look:
    """Colours (linear RGB 0-1) and clothes of one athlete. `suit`: 0 briefs, 1 swimsuit, 2 trunks, 3 shirt and
    trunks, 4 unitard, 5 two-piece. `head`: 0 hair, 1 cap, 2 bald. `stripes` per metre, 0 for a side panel.
    """

    skin: Array
    hair: Array
    cloth_a: Array
    cloth_b: Array
    suit: int
    stripes: float
    gloss: float
    head: int
    leg_share: float


def random_look(rng: np.random.Generator) -> Look:
    """Skin from very light to very dark, clothes of any colour."""
    tone = rng.beta(1.0, 1.5)
    skin = (1 - tone) * np.array([0.78, 0.52, 0.40]) + tone * np.array([0.075, 0.035, 0.02])
    head = int(rng.choice([0, 1, 2], p=[0.68, 0.27, 0.05]))
    hair_tone = rng.uniform(0.01, 0.12) ** rng.uniform(0.6, 1.4) * np.array([1.0, 0.72, 0.45])
    return Look(
        np.clip(skin * rng.uniform(0.85, 1.15, 3), 0.01, 1),
        rng.uniform(0, 1, 3) ** 1.5 if head == 1 else hair_tone,
        rng.uniform(0, 1, 3) ** 2,
        rng.uniform(0, 1, 3) ** 2,
        int(rng.choice(6, p=[0.26, 0.24, 0.16, 0.12, 0.12, 0.10])),
        float(rng.uniform(3, 14)) if rng.random() < 0.25 else 0.0,
        float(rng.uniform(0.0, 0.4)),
        head,
        float(rng.uniform(0.05, 0.75)),
    )


@dataclass(frozen=True)
class Lighting:
    """Light in the world: unit direction towards the lamp, its colour, colours from above and below."""

    direction: Array
    sun: Array
    sky: Array
    ground: Array


def random_lighting(rng: np.random.Generator) -> Lighting:
    """From flat hall light to hard sun, warm to cold."""
    direction = rng.normal(size=3) * [1, 1, 0.5] + [0, 0, rng.uniform(0.2, 1.6)]
    power, flat = rng.uniform(0.35, 1.3), rng.uniform(0.2, 0.7)
    tint = 1 + rng.normal(0, 0.08, 3)
    sky = flat * (1 + rng.normal(0, 0.08, 3))
    return Lighting(direction / np.linalg.norm(direction), power * tint, sky, sky * rng.uniform(0.3, 0.9))
