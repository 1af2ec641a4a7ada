"""Bundle adjustment of several resting cameras over a body that moves: places, rotations, clocks, and the metre.

Every joint at every moment of the first camera's clock is three unknowns of its own. What ties them together is the
body: its bones keep their lengths, and in flight its centre of gravity falls at g, which is what makes metres of the
rest and keeps the path from being bent by cameras that are turned a little wrong. The joints of a moment are eliminated
(Schur's complement), which leaves the cameras, the vertical, the falls and the bones. What a camera sees between two of
its pictures is interpolated, so the offset of its clock has a slope too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.equations import body_cost, sighted, system_of
from calibration.scene import Body, Moments, Scene
from calibration.track import Track

Floats = NDArray[np.float64]

_CUT: Final = 4.0
"""Standard deviations beyond which a sighting is no error but a mistake."""
_ROUNDS: Final = 2
_STEPS: Final = 40
_SETTLED: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The scene that fits best. `residuals` (C, T, J) in standard deviations, NaN where a camera saw nothing or what it
    saw is not `used` (C, T, J); `covariance` of the unknowns as in `Scene.moved`."""

    scene: Scene
    residuals: Floats
    used: NDArray[np.bool_]
    covariance: Floats


def adjusted(tracks: Sequence[Track], body: Body, moments: Moments, scene: Scene) -> Adjusted:
    """Levenberg-Marquardt from a scene, with Huber's weights; then again without what is a mistake."""
    used = np.repeat(moments.seen[None], len(tracks), axis=0)
    for _ in range(_ROUNDS):
        scene = _descended(tracks, body, moments, scene, used)
        seen = sighted(tracks, moments, scene, used)
        used &= np.linalg.norm(seen.residual, axis=-1) < _CUT
        both = moments.seen & ((used & (seen.weight > 0)).sum(axis=0) >= 2)
        moments, used = replace(moments, seen=both), used & both
    scene = _descended(tracks, body, moments, scene, used)
    seen = sighted(tracks, moments, scene, used)
    system = system_of(seen, body, moments, scene, 0.0)
    known = seen.weight > 0
    freedom = max(2 * int(np.count_nonzero(known)) - 3 * int(np.count_nonzero(moments.seen)), 1)
    scale = float((seen.weight[..., None] * seen.residual**2).sum()) / freedom
    power = seen.residual * np.sqrt(seen.weight)[..., None]
    # Errors of networks last for several pictures, which together then tell less.
    alike = float((power[:, 1:] * power[:, :-1]).sum()) / max(float((power**2).sum()), 1e-12)
    alike = min(max(alike, 0.0), 0.9)
    covariance = np.linalg.inv(system.normal) * max(scale, 1e-3) * (1 + alike) / (1 - alike)
    left = np.linalg.norm(sighted(tracks, moments, scene, np.ones_like(used)).residual, axis=-1)
    return Adjusted(scene, np.where(used, left, np.nan), used, np.asarray(covariance))


def _descended(tracks: Sequence[Track], body: Body, moments: Moments, scene: Scene, used: NDArray[np.bool_]) -> Scene:
    seen = sighted(tracks, moments, scene, used)
    cost, damping = seen.cost + body_cost(body, moments, scene), 1e-3
    for _ in range(_STEPS):
        system = system_of(seen, body, moments, scene, damping)
        step = np.linalg.solve(system.normal + damping * np.diag(np.diag(system.normal)), system.pull)
        points = scene.points + (system.own - system.back @ step).reshape(scene.points.shape)
        tried = scene.moved(np.asarray(step, np.float64), points)
        again = sighted(tracks, moments, tried, used)
        new_cost = again.cost + body_cost(body, moments, tried)
        if new_cost > cost:
            damping *= 10
            if damping > 1e6:
                break
            continue
        settled = cost - new_cost < _SETTLED * cost
        scene, seen, cost, damping = tried, again, new_cost, max(damping / 10, 1e-9)
        if settled:
            break
    return scene
