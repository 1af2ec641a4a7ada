"""Clothes of an athlete: where each garment ends on the body, how far it stands off, and how it creases.

Heights and widths are metres in the rest frame of a body (z up, facing -y), so that a garment follows the body in any
pose. Tight garments are painted on the skin; loose ones are a second surface, the body's own pushed out along its
normals.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from training.synth.body import Body, BodyModel

Array = npt.NDArray[Any]
Top = Literal["none", "sleeves", "straps", "band", "vest"]

TOP_NUMBER: Final[dict[Top, int]] = {"none": 0, "sleeves": 1, "straps": 2, "band": 3, "vest": 4}


@dataclass(frozen=True)
class Outfit:
    """What is worn. `sleeve` and `leg` say how far down the limb cloth reaches (0 at shoulder or hip, 1 at wrist or
    ankle); `high_cut` the slope of a swimsuit's leg, 0 for legs of cloth; `loose_top_m` and `loose_leg_m` how far the
    cloth stands off (0 = painted on); `shoes` whether there may be shoes.
    """

    top: Top = "none"
    sleeve: float = 0.0
    loose_top_m: float = 0.0
    bottom: bool = True
    leg: float = 0.0
    high_cut: float = 0.0
    loose_leg_m: float = 0.0
    shoes: bool = False


OUTFITS: Final = (
    Outfit(high_cut=0.55),
    Outfit("straps", high_cut=0.75),
    Outfit(),
    Outfit("sleeves", 0.3),
    Outfit("sleeves", 0.3, leg=0.3),
    Outfit("band", high_cut=0.55),
    Outfit("sleeves", 0.32, 0.022, leg=0.4, loose_leg_m=0.03, shoes=True),
    Outfit("sleeves", 0.32, 0.022, leg=0.98, loose_leg_m=0.025, shoes=True),
    Outfit("sleeves", 0.97, 0.025, leg=0.98, loose_leg_m=0.028, shoes=True),
    Outfit("sleeves", 0.97, high_cut=0.75),
    Outfit("vest", 0.0, 0.012, leg=0.25, loose_leg_m=0.025, shoes=True),
    Outfit(leg=0.98, loose_leg_m=0.028, shoes=True),
    Outfit(leg=0.45, loose_leg_m=0.03),
    Outfit("band", leg=0.95, shoes=True),
    Outfit("vest", 0.0, leg=0.95),
)
"""Briefs, swimsuit, trunks, shirt and trunks, unitard, two-piece; T-shirt with shorts or trousers, tracksuit,
long-sleeved leotard, running vest, bare chest with trousers or board shorts, top and leggings, gymnast's longs."""

SUIT_CHANCES: Final = (0.11, 0.12, 0.08, 0.04, 0.05, 0.05, 0.11, 0.12, 0.08, 0.07, 0.05, 0.03, 0.03, 0.03, 0.03)


@dataclass(frozen=True)
class Landmarks:
    """Heights of one body at rest, metres: where garments end."""

    hip: float
    knee: float
    ankle: float
    sole: float
    chest: float
    neck: float
    shoulder_x: float
    shoulder_z: float
    wrist_x: float
    wrist_z: float

    def leg_end(self, share: float) -> float:
        """Height of a trouser leg's end, `share` of the way from hip to ankle."""
        return self.hip - 0.06 - share * (self.hip - 0.06 - self.ankle)


def landmarks(model: BodyModel, body: Body) -> Landmarks:
    """Where the garments of this body end."""
    joints, heads = body.joints_m, body.bone_heads_m
    shoulder, wrist = heads[model.index["upperarm01.L"]], heads[model.index["wrist.L"]]
    return Landmarks(
        hip=float(joints[1][2]),
        knee=float(joints[2][2]),
        ankle=float(joints[3][2]),
        sole=float(body.vertices_m[:, 2].min()),
        chest=float(joints[8][2]) - 0.11,
        neck=float(heads[model.index["neck01"]][2]),
        shoulder_x=float(shoulder[0]),
        shoulder_z=float(shoulder[2]),
        wrist_x=float(wrist[0]),
        wrist_z=float(wrist[2]),
    )


def arm_share(marks: Landmarks, points_m: Array) -> Array:
    """How far down the arm each rest point [V, 3] lies: 0 at the shoulder, 1 at the wrist (the rest arms are straight
    as seen from the front)."""
    reach = np.array([marks.wrist_x - marks.shoulder_x, marks.wrist_z - marks.shoulder_z])
    offset = np.stack([np.abs(points_m[:, 0]) - marks.shoulder_x, points_m[:, 2] - marks.shoulder_z], 1)
    return np.asarray(offset @ reach / (reach @ reach), np.float32)


@functools.lru_cache(maxsize=4)
def _waves(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, 77])
    return rng.normal(0, 22, (3, 6)) * [[1], [1], [0.6]], rng.uniform(0, 2 * np.pi, 6)


def stand_off(body: Body, marks: Landmarks, outfit: Outfit, slack: float, seed: int) -> tuple[Array, Array]:
    """How far the loose lower and upper garment lie outside each vertex [V], metres; wider towards the hems, wavy.

    `slack` scales the looseness; `seed` chooses the waves, so that one athlete's clothes look the same in all frames.
    """
    points = body.vertices_m
    directions, phases = _waves(seed)
    wave = np.sin(points @ directions + phases).sum(1) / 3.5
    leg = np.clip((marks.hip - points[:, 2]) / (marks.hip - marks.ankle), 0, 1)
    lower = outfit.loose_leg_m * slack * (0.35 + 0.9 * np.minimum(leg / max(outfit.leg, 0.2), 1.0) + 0.35 * wave)
    arm = np.clip(arm_share(marks, points) / max(outfit.sleeve, 0.2), 0, 1)
    sagging = np.clip((marks.chest - points[:, 2]) / 0.35, 0, 1)
    upper = outfit.loose_top_m * slack * (0.35 + 0.6 * np.maximum(arm, sagging) + 0.35 * wave)
    return np.maximum(lower, 0.003).astype(np.float32), np.maximum(upper, 0.004).astype(np.float32)
