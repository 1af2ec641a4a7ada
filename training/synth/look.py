"""How an athlete looks: skin, face, hair, clothes. Light is in `lighting`, cloth patterns in `material`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth.body import Body
from training.synth.clothes import OUTFITS, SUIT_CHANCES
from training.synth.hair import Tail, random_tail
from training.synth.lighting import Lighting, random_lighting
from training.synth.material import Materials, cloth_picture

Array = npt.NDArray[Any]

__all__ = ["Lighting", "Look", "random_lighting", "random_look"]

_HAIR: Final = np.array(
    [
        [0.010, 0.008, 0.007],
        [0.022, 0.013, 0.008],
        [0.06, 0.032, 0.017],
        [0.14, 0.075, 0.035],
        [0.38, 0.25, 0.11],
        [0.24, 0.075, 0.025],
        [0.30, 0.29, 0.28],
    ]
)
"""Black, dark brown, brown, light brown, blond, red, grey: linear colours."""
_HAIR_CHANCES: Final = (0.2, 0.2, 0.2, 0.14, 0.14, 0.06, 0.06)
_HAIR_CHANCES_DARK: Final = (0.8, 0.15, 0.05, 0, 0, 0, 0)
_STYLES: Final = ("pony", "bun", "loose", "short")

_SKIN: Final = np.array(
    [[0.80, 0.56, 0.45], [0.66, 0.40, 0.28], [0.42, 0.22, 0.13], [0.20, 0.095, 0.055], [0.06, 0.03, 0.02]]
)
"""From very light to very dark, linear colours."""


@dataclass(frozen=True)
class Look:
    """Colours (linear RGB 0-1) and clothes of one athlete; the same Look serves all frames of a clip.

    `suit` is an index into `clothes.OUTFITS`; `leg_share` how much of the leg trunks cover (suits 2 and 3); `gloss` of
    the cloth. `head`: 0 hair, 1 cap, 2 bald. `cloth` [256, 256, 3]
    as made by `material.cloth_picture`, plain `cloth_a` without. `hair_m` thickness of the hair, `hairline` its height
    above the eyes; `wet` and `mottled` skin 0-1; `brows`, `beard` 0-1; `slack` of loose clothes (1 = usual).
    """

    skin: Array
    hair: Array
    cloth_a: Array
    cloth_b: Array
    suit: int
    gloss: float
    head: int
    leg_share: float
    cloth: Array | None = None
    hair_m: float = 0.008
    hairline: float = 0.057
    tail: Tail | None = None
    wet: float = 0.0
    mottled: float = 0.3
    brows: float = 0.7
    beard: float = 0.0
    slack: float = 1.0
    folds_m: float = 0.012
    waves: int = 0
    barefoot: bool = True
    shoe: Array | None = None
    sock: Array | None = None
    sock_share: float = 0.0


def _skin(rng: np.random.Generator) -> Array:
    """Along the line from very light to very dark, redder or yellower."""
    tone = rng.beta(0.9, 1.2)
    colour = [np.interp(tone, np.linspace(0, 1, len(_SKIN)), _SKIN[:, c]) for c in range(3)]
    return np.clip(np.array(colour) * rng.uniform(0.88, 1.12) * (1 + rng.normal(0, 0.05, 3)), 0.01, 1)


def _colour(rng: np.random.Generator) -> Array:
    """Cloth as sold: black, white, grey, navy, red and the rest."""
    kind = rng.random()
    if kind < 0.22:
        return np.full(3, rng.uniform(0.01, 0.05)) * rng.uniform(0.8, 1.2, 3)
    if kind < 0.38:
        return np.full(3, rng.uniform(0.55, 0.9)) * rng.uniform(0.95, 1.0, 3)
    if kind < 0.52:
        return np.full(3, rng.uniform(0.06, 0.5)) * rng.uniform(0.88, 1.12, 3)
    if kind < 0.68:
        return np.array([0.02, 0.04, 0.15]) * rng.uniform(0.5, 3.0) * rng.uniform(0.7, 1.3, 3)
    if kind < 0.80:
        return np.array([0.5, 0.02, 0.03]) * rng.uniform(0.4, 1.4) * rng.uniform(0.7, 1.3, 3)
    return rng.uniform(0, 1, 3) ** rng.uniform(1, 2.5)


def random_look(rng: np.random.Generator, body: Body | None = None, materials: Materials | None = None) -> Look:
    """Skin from very light to very dark, hair, cap or neither, swimwear, gym wear or street clothes of any colour.

    `body` lets hair, beard and suit go with its gender; `materials` lends photographed cloth.
    """
    female = rng.random() < (0.5 if body is None else body.phenotype.get("gender", 0.5))
    skin = _skin(rng)
    dark = float(skin.mean()) < 0.2
    suit = int(rng.choice(len(OUTFITS), p=SUIT_CHANCES))
    if female and OUTFITS[suit].top == "none" and rng.random() < 0.9:
        suit = int(rng.choice([1, 1, 5, 9, 13, 6, 7]))
    elif not female and (OUTFITS[suit].high_cut > 0.6 or OUTFITS[suit].top == "band") and rng.random() < 0.85:
        suit = int(rng.choice([0, 0, 2, 7, 8, 11, 14]))
    swims = suit in (0, 1, 2, 5)
    head = int(rng.choice([0, 1, 2], p=[0.62, 0.34, 0.04] if swims else [0.86, 0.08, 0.06]))
    own = _HAIR[int(rng.choice(len(_HAIR), p=_HAIR_CHANCES_DARK if dark else _HAIR_CHANCES))]
    style = str(rng.choice(_STYLES, p=[0.4, 0.18, 0.22, 0.2] if female else [0.03, 0.03, 0.05, 0.89]))
    first, second = _colour(rng), _colour(rng)
    sporty = OUTFITS[suit].shoes and rng.random() < 0.75
    wet = float(rng.uniform(0.3, 1.0)) if swims and rng.random() < 0.6 else float(rng.uniform(0, 0.25))
    return Look(
        skin,
        _colour(rng) if head == 1 else own * rng.uniform(0.7, 1.4),
        first,
        second,
        suit,
        float(rng.uniform(0.0, 0.4)) if OUTFITS[suit].loose_leg_m == 0 else float(rng.uniform(0, 0.06)),
        head,
        float(rng.uniform(0.05, 0.75)),
        cloth_picture(rng, first, second, materials),
        0.004 if head == 1 else float(rng.choice([rng.uniform(0.002, 0.006), rng.uniform(0.010, 0.035)])),
        float(rng.normal(0.057, 0.008)),
        random_tail(rng, style) if head == 0 and style != "short" else None,
        wet,
        float(rng.uniform(0.05, 0.5)),
        float(rng.uniform(0.3, 1.0)),
        0.0 if female else float(rng.choice([0.0, rng.uniform(0.1, 0.3), rng.uniform(0.5, 0.9)], p=[0.6, 0.25, 0.15])),
        float(rng.uniform(0.6, 1.9)),
        float(rng.uniform(0.006, 0.02)),
        int(rng.integers(1 << 30)),
        not sporty,
        np.clip(_colour(rng), 0, 1),
        _colour(rng) if rng.random() < 0.4 else np.full(3, rng.uniform(0.5, 0.85)),
        float(rng.choice([0.0, 0.05, 0.15, 0.5], p=[0.3, 0.3, 0.25, 0.15])) if sporty or rng.random() < 0.15 else 0.0,
    )
