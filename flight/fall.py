"""Free fall seen by one camera: where it began, how fast, and how far away, from the bend of its path alone.

In camera axes a centre of gravity follows X(t) = X0 + V t + g t^2 / 2. What is seen of it is its direction
(a, b) = (X / Z, Y / Z). Written as X = a Z and Y = b Z that is linear in X0 and V, but its answer is biased by noise
(regression dilution); it only starts the Gauss-Newton descent on the reprojection error, whose inverse normal matrix is
the covariance. Gravity's direction is given, or found too: two more unknowns, and several falls before the
same camera share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRAVITY_M_S2: Final = 9.81
MIN_POINTS: Final = 5
SIDEWAYS_M_S: Final = 1.5
"""Standard deviation of the speed across the vertical that is expected of whoever falls: divers leave at 1 m/s."""
_HUBER: Final = 1.5
_STEPS: Final = 30
_SETTLED: Final = 1e-5
"""A step that lowers the cost by less than this share of it is the last: a hundredth of a standard deviation."""
_NEAREST_M: Final = 0.3
_LEAST_SCALE: Final = 0.2
_MOST_ALIKE: Final = 0.85
_DOWN_IMG: Final = (0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """A point that falls, as a camera sees it: N moments.

    `t_s` (N,); `flat` (N, 2) directions a, b on the plane Z = 1 (`Camera.normalised`); `sd` (N,) standard deviation of
    either, which is pixels over focal length. `depths` says what else than the fall tells of the depth: time, metres,
    standard deviation.
    """

    t_s: Floats
    flat: Floats
    sd: Floats
    depths: tuple[tuple[float, float, float], ...] = ()

    @property
    def usable(self) -> "Seen":
        """Without moments at which nothing is known."""
        known = np.isfinite(self.flat).all(axis=1) & np.isfinite(self.sd) & (self.sd > 0)
        return self if known.all() else Seen(self.t_s[known], self.flat[known], self.sd[known], self.depths)


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall in camera axes, from the moment `t0_s` on (and before: the parabola has no end).

    `covariance` (6, 6) of start and velocity. `chi2` is the mean squared residual in standard deviations: about 1 when
    the noise is as it was said to be and the body does fall. `noise` is by what those were multiplied (`honest`).
    """

    t0_s: float
    start_cam_m: Floats
    velocity_cam_m_s: Floats
    gravity_cam_m_s2: Floats
    covariance: Floats
    chi2: float
    noise: float = 1.0

    def at(self, t_s: Floats) -> Floats:
        """Places (T, 3) at times (T,), metres, camera axes."""
        t = (np.asarray(t_s, np.float64) - self.t0_s)[:, None]
        return np.asarray(self.start_cam_m + t * self.velocity_cam_m_s + t * t / 2 * self.gravity_cam_m_s2)

    def velocity_at(self, t_s: float) -> Floats:
        """Velocity (3,) at a time, m/s, camera axes."""
        return np.asarray(self.velocity_cam_m_s + (t_s - self.t0_s) * self.gravity_cam_m_s2)

    def covariance_at(self, t_s: Floats) -> Floats:
        """Covariances (T, 3, 3) of the places at times (T,), square metres."""
        t = (np.asarray(t_s, np.float64) - self.t0_s)[:, None, None]
        c = self.covariance
        return np.asarray(c[:3, :3] + t * (c[:3, 3:] + c[3:, :3]) + t * t * c[3:, 3:])

    @property
    def depth_sd(self) -> float:
        """Standard deviation of the distance at the start, relative to it."""
        ray = self.start_cam_m / np.linalg.norm(self.start_cam_m)
        return float(np.sqrt(ray @ self.covariance[:3, :3] @ ray) / np.linalg.norm(self.start_cam_m))


@dataclass(frozen=True, slots=True)
class Vertical:
    """Where down is, in camera axes, from falls alone.

    `down_cam` unit vector (3,); `sd_rad` standard deviation of the angle about the two axes across it, the larger;
    `falls` one for each that was given, with this gravity.
    """

    down_cam: Floats
    sd_rad: float
    falls: tuple[Fall, ...]


def fitted_fall(
    seen: Seen, down_cam: Floats, sideways_m_s: float = SIDEWAYS_M_S, begin: Fall | None = None
) -> Fall | None:
    """The fall behind what was seen, with gravity along `down_cam` (3,); `begin` is where to begin, if it is known.

    None for fewer than five moments, or where no fall in front of the camera explains them.
    """
    seen = seen.usable
    if len(seen.t_s) < MIN_POINTS:
        return None
    starts = [_linear(seen, np.asarray(down_cam, np.float64)) if begin is None else _moved_to(begin, seen)]
    found = _descended([seen], starts, np.asarray(down_cam, np.float64), sideways_m_s, turn=False)
    return None if found is None else found.falls[0]


def honest(seen: Seen, fall: Fall) -> float:
    """By what the deviations are to be multiplied, as what the fall leaves over says: by its size, and by how alike
    neighbouring frames err. A network's errors last for many frames, so that these together tell less than they seem
    to.
    """
    seen = seen.usable
    place = fall.at(seen.t_s)
    left = (place[:, :2] / place[:, 2:] - seen.flat) / seen.sd[:, None]
    size = float(np.clip(1.4826 * np.median(np.abs(left)), _LEAST_SCALE, None))
    clipped = np.clip(left, -3 * size, 3 * size)
    power = float((clipped**2).sum())
    alike = float((clipped[1:] * clipped[:-1]).sum()) / power if power > 0 else 0.0
    # Of a fit the residuals are a little less alike than the errors: by about the unknowns over the frames.
    alike = float(np.clip(alike + 3 / len(seen.t_s), 0.0, _MOST_ALIKE))
    return size * float(np.sqrt((1 + alike) / (1 - alike)))


def fitted_vertical(
    seen: Sequence[Seen], guess_cam: Sequence[float] = _DOWN_IMG, sideways_m_s: float = SIDEWAYS_M_S
) -> Vertical | None:
    """Gravity's direction from one or several falls before the same resting camera; `guess_cam` is where to begin.

    Tell it the centre of gravity: the middle of a turning body's box swings with it and draws the vertical 10 degrees
    away. None where the falls do not determine it.
    """
    usable = [one.usable for one in seen]
    if not usable or any(len(one.t_s) < MIN_POINTS for one in usable):
        return None
    down = np.asarray(guess_cam, np.float64) / np.linalg.norm(guess_cam)
    return _descended(usable, [_linear(one, down) for one in usable], down, sideways_m_s, turn=True)


def _moved_to(begin: Fall, seen: Seen) -> Floats:
    first_s = float(seen.t_s[0])
    return np.concatenate([begin.at(np.array([first_s]))[0], begin.velocity_at(first_s)])


def _descended(
    seen: Sequence[Seen], starts: Sequence[Floats | None], down: Floats, sideways_m_s: float, turn: bool
) -> Vertical | None:
    """Gauss-Newton with Levenberg's damping over all falls, and over the vertical if `turn`."""
    state = np.array([start for start in starts if start is not None])
    if len(state) < len(seen):
        return None
    cost, normal, slope = _normal_equations(seen, state, down, sideways_m_s, turn)
    damping = 1e-4
    for _ in range(_STEPS):
        step = _step(normal, slope, damping)
        if step is None:
            return None
        tried, tried_down = _moved(state, down, step, turn)
        again = _normal_equations(seen, tried, tried_down, sideways_m_s, turn)
        if again[0] <= cost:
            settled = cost - again[0] <= _SETTLED * max(cost, 1.0)
            state, down = tried, tried_down
            cost, normal, slope = again
            damping = max(damping / 10, 1e-12)
            if settled:
                break
        else:
            damping *= 10
            if damping > 1e8:
                break
    return _answer(seen, state, down, normal, turn)


def _step(normal: Floats, slope: Floats, damping: float) -> Floats | None:
    scaled = normal + np.diag(damping * np.diag(normal))
    try:
        return np.asarray(np.linalg.solve(scaled, slope))
    except np.linalg.LinAlgError:
        return None


def _moved(state: Floats, down: Floats, step: Floats, turn: bool) -> tuple[Floats, Floats]:
    if not turn:
        return state + step.reshape(state.shape), down
    across = _across(down)
    turned = down + step[:2] @ across
    return state + step[2:].reshape(state.shape), turned / np.linalg.norm(turned)


def _across(down: Floats) -> Floats:
    """Two unit vectors (2, 3) across the vertical and each other."""
    x, y, z = down.tolist()
    # Across gravity and the axis that is farthest from it.
    if abs(x) <= min(abs(y), abs(z)):
        a, b, c = 0.0, z, -y
    elif abs(y) <= abs(z):
        a, b, c = -z, 0.0, x
    else:
        a, b, c = y, -x, 0.0
    size = (a * a + b * b + c * c) ** 0.5
    a, b, c = a / size, b / size, c / size
    return np.array([[a, b, c], [y * c - z * b, z * a - x * c, x * b - y * a]])


def _linear(seen: Seen, down: Floats) -> Floats | None:
    """Start and velocity (6,) that solve the linear equations, weighted by 1 / Z, which is found on the way."""
    g = GRAVITY_M_S2 * down
    t = seen.t_s - seen.t_s[0]
    a, b = seen.flat.T
    zero, one = np.zeros_like(t), np.ones_like(t)
    rows = np.stack(
        [np.stack([one, zero, -a, t, zero, -a * t], axis=1), np.stack([zero, one, -b, zero, t, -b * t], axis=1)]
    )
    values = t * t / 2 * np.stack([a * g[2] - g[0], b * g[2] - g[1]])
    depth = np.ones_like(t)
    for _ in range(3):
        weight = 1 / (np.maximum(depth, _NEAREST_M) * seen.sd)
        state = np.linalg.lstsq((rows * weight[:, None]).reshape(-1, 6), (values * weight).ravel(), rcond=None)[0]
        depth = state[2] + state[5] * t + g[2] * t * t / 2
    return np.asarray(state) if depth.min() > _NEAREST_M else _somewhere(seen, down)


def _somewhere(seen: Seen, down: Floats) -> Floats | None:
    """Where noise has drawn the linear answer into the camera: a fall at constant depth, from the path's bend."""
    t = seen.t_s - seen.t_s[0]
    weight = 1 / seen.sd
    bend = np.polyfit(t, seen.flat, 2, w=weight)
    drop = down[:2] - bend[2] * down[2]
    pull = float(2 * bend[0] @ drop) / max(float(drop @ drop), 1e-9)
    if pull <= 0:
        return None
    depth = GRAVITY_M_S2 / pull
    return np.concatenate([depth * np.append(bend[2], 1.0), depth * np.append(bend[1], 0.0)])


def _normal_equations(
    seen: Sequence[Seen], state: Floats, down: Floats, sideways_m_s: float, turn: bool
) -> tuple[float, Floats, Floats]:
    """Huber's cost, normal matrix and right-hand side; unknowns: the vertical's two angles if `turn`, six a fall."""
    first = 2 if turn else 0
    size = first + 6 * len(seen)
    normal, slope, cost = np.zeros((size, size)), np.zeros(size), 0.0
    across = _across(down)
    for k, (one, start) in enumerate(zip(seen, state, strict=True)):
        residual, by = _residuals(one, start, down, across)
        sway, by_sway = _expected(one, start, down, across, sideways_m_s)
        length = np.abs(residual)
        huber = np.minimum(1.0, _HUBER / np.maximum(length, 1e-12))
        cost += float(np.where(length < _HUBER, residual**2, _HUBER * (2 * length - _HUBER)).sum() + sway @ sway)
        rows = np.concatenate([by * huber[:, None], by_sway])
        full = np.concatenate([by, by_sway])
        left = np.concatenate([residual, sway])
        place = slice(first + 6 * k, first + 6 * k + 6)
        own = slice(2, 8)
        normal[place, place] += rows[:, own].T @ full[:, own]
        slope[place] -= rows[:, own].T @ left
        if turn:
            normal[:2, :2] += rows[:, :2].T @ full[:, :2]
            mixed = rows[:, :2].T @ full[:, own]
            normal[:2, place] += mixed
            normal[place, :2] += mixed.T
            slope[:2] -= rows[:, :2].T @ left
    return cost, normal, slope


def _residuals(seen: Seen, start: Floats, down: Floats, across: Floats) -> tuple[Floats, Floats]:
    """Residuals (2 N,) in standard deviations and their slopes (2 N, 8): by the vertical's angles, start, velocity."""
    t = (seen.t_s - seen.t_s[0])[:, None]
    place = start[:3] + t * start[3:] + t * t / 2 * GRAVITY_M_S2 * down
    depth = np.maximum(place[:, 2:], _NEAREST_M)
    flat = place[:, :2] / depth
    residual = (flat - seen.flat) / seen.sd[:, None]
    by_place = np.zeros((len(t), 2, 3))
    by_place[:, 0, 0] = by_place[:, 1, 1] = 1.0
    by_place[:, :, 2] = -flat
    by_place /= (depth * seen.sd[:, None])[..., None]
    by_angle = (by_place @ across.T) * (t * t / 2 * GRAVITY_M_S2)[..., None]
    slopes = np.concatenate([by_angle, by_place, by_place * t[..., None]], axis=2)
    return residual.ravel(), slopes.reshape(-1, 8)


def _expected(seen: Seen, start: Floats, down: Floats, across: Floats, sideways_m_s: float) -> tuple[Floats, Floats]:
    """What is expected beforehand, of the horizontal speed and perhaps of depths: residuals (K,), slopes (K, 8)."""
    slopes, residual = np.zeros((2 + len(seen.depths), 8)), np.zeros(2 + len(seen.depths))
    slopes[:2, 5:] = across / sideways_m_s
    slopes[:2, :2] = -float(start[3:] @ down) / sideways_m_s * np.eye(2)
    residual[:2] = across @ start[3:] / sideways_m_s
    for row, (at_s, depth, sd) in enumerate(seen.depths, 2):
        t = at_s - float(seen.t_s[0])
        drop = t * t / 2 * GRAVITY_M_S2
        residual[row] = (start[2] + t * start[5] + drop * down[2] - depth) / sd
        slopes[row, :2] = drop * across[:, 2] / sd
        slopes[row, 4], slopes[row, 7] = 1 / sd, t / sd
    return residual, slopes


def _answer(seen: Sequence[Seen], state: Floats, down: Floats, normal: Floats, turn: bool) -> Vertical | None:
    try:
        covariance = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(covariance).all() or (np.diag(covariance) < 0).any():
        return None
    first = 2 if turn else 0
    across = _across(down)
    falls = []
    for k, (one, start) in enumerate(zip(seen, state, strict=True)):
        residual, _ = _residuals(one, start, down, across)
        t = one.t_s - one.t_s[0]
        if (start[2] + start[5] * t + GRAVITY_M_S2 * down[2] * t * t / 2).min() <= _NEAREST_M:
            return None
        place = slice(first + 6 * k, first + 6 * k + 6)
        clipped = np.minimum(np.abs(residual), 2 * _HUBER)
        chi2 = float((clipped**2).sum()) / max(len(residual) - 6, 1)
        falls.append(
            Fall(
                float(one.t_s[0]),
                start[:3],
                start[3:],
                GRAVITY_M_S2 * down,
                np.asarray(covariance[place, place], np.float64),
                chi2,
            )
        )
    sd = float(np.sqrt(np.linalg.eigvalsh(covariance[:2, :2])[-1])) if turn else 0.0
    return Vertical(down, sd, tuple(falls))
