"""The flight: free fall of the centre of gravity, and the turning of a body that changes its shape.

The body is the mass points of `mass`, moving with the limbs. Its angular momentum about the centre of gravity stays
what it was: L = R (I w + h), with R the attitude of the pelvis, I the inertia of the moment, h the share of the limbs
moving relative to the pelvis. So w = I^-1 (R^T L - h), integrated by a Runge-Kutta scheme of fourth order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from flight import mass
from training.synth import shape
from training.synth.board import Shape, TakeOff
from training.synth.plan import Plan
from training.synth.poses import ANGLES, ARM, COLUMN

Array = npt.NDArray[Any]

GRAVITY_M_S2: Final = 9.81
SHAPE_STEP_S: Final = 0.011
"""How often a body is asked for its joints (`spaced`)."""


@dataclass(frozen=True)
class Flight:
    """`times_s` [T] from the take-off, `turn` [T, 3, 3], `joints` [T, 17, 3] world, `centre` [T, 3], `angles` [T, A],
    `momentum` about y per unit of mass, `velocity` [3] at the take-off.
    """

    times_s: Array
    turn: Array
    joints: Array
    centre: Array
    angles: Array
    momentum: float
    velocity: Array


def attitudes(inertia: Array, own: Array, start: Array, momentum: float, step_s: float) -> Array:
    """Unit quaternions [T, 4] (w first, world from body) under the angular momentum (0, `momentum`, 0).

    `inertia` [2 T - 1, 3, 3] and the limbs' share `own` [2 T - 1, 3] are given at every half step.
    """
    upper = np.linalg.inv(inertia)[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]].tolist()
    limbs = own.tolist()

    # Plain numbers: the steps depend on each other, and arrays of four are slower than floats. Every product is of
    # second degree in the quaternion, so that a symmetric dive stays in its plane at the inner points as well.
    def rate(at: int, w: float, x: float, y: float, z: float) -> tuple[float, float, float, float]:
        xx, xy, xz, yy, yz, zz = upper[at]
        h = limbs[at]
        a = momentum * 2 * (x * y + w * z) - h[0]
        b = momentum * (w * w - x * x + y * y - z * z) - h[1]
        c = momentum * 2 * (y * z - w * x) - h[2]
        p, q, r = (xx * a + xy * b + xz * c) / 2, (xy * a + yy * b + yz * c) / 2, (xz * a + yz * b + zz * c) / 2
        return -x * p - y * q - z * r, w * p + y * r - z * q, w * q + z * p - x * r, w * r + x * q - y * p

    half, sixth = step_s / 2, step_s / 6
    w, x, y, z = _quaternion(start)
    found = [(w, x, y, z)]
    for at in range(0, len(limbs) - 2, 2):
        a0, a1, a2, a3 = rate(at, w, x, y, z)
        b0, b1, b2, b3 = rate(at + 1, w + half * a0, x + half * a1, y + half * a2, z + half * a3)
        c0, c1, c2, c3 = rate(at + 1, w + half * b0, x + half * b1, y + half * b2, z + half * b3)
        d0, d1, d2, d3 = rate(at + 2, w + step_s * c0, x + step_s * c1, y + step_s * c2, z + step_s * c3)
        w += sixth * (a0 + 2 * (b0 + c0) + d0)
        x += sixth * (a1 + 2 * (b1 + c1) + d1)
        y += sixth * (a2 + 2 * (b2 + c2) + d2)
        z += sixth * (a3 + 2 * (b3 + c3) + d3)
        norm = (w * w + x * x + y * y + z * z) ** -0.5
        w, x, y, z = w * norm, x * norm, y * norm, z * norm
        found.append((w, x, y, z))
    return np.array(found)


def courses(inverse: Array, own: Array, momenta: Array, start: Array, step_s: float) -> Array:
    """Courses [T, B, 4] of many flights at once: the direction of the angular momentum (world y) in body axes, and the
    somersault angle since the start, radians.

    `inverse` inertia [2 T - 1, B, 3, 3] and limbs' share `own` [2 T - 1, B, 3] at every half step; `momenta` [B].
    `start` [3] or [3, B]. It turns against the body: dl/dt = -w x l; the long axis z goes
    round y at (w.l - wz lz) / (1 - lz^2).
    """

    def rate(at: int, state: Array) -> Array:
        x, y, z, _ = state
        a, b, c = momenta * state[:3] - own[at].T
        k = inverse[at].transpose(1, 2, 0)
        p = k[0, 0] * a + k[0, 1] * b + k[0, 2] * c
        q = k[0, 1] * a + k[1, 1] * b + k[1, 2] * c
        r = k[0, 2] * a + k[1, 2] * b + k[2, 2] * c
        around = (p * x + q * y) / np.maximum(1 - z * z, 1e-3)
        return np.stack([r * y - q * z, p * z - r * x, q * x - p * y, around])

    state = np.zeros((4, len(momenta)))
    state[:3] = start if start.ndim == 2 else start[:, None]
    found = [state]
    for at in range(0, len(own) - 2, 2):
        a = rate(at, state)
        b = rate(at + 1, state + step_s / 2 * a)
        c = rate(at + 1, state + step_s / 2 * b)
        state = state + step_s / 6 * (a + 2 * (b + c) + rate(at + 2, state + step_s * c))
        found.append(state)
    return np.moveaxis(np.stack(found), 1, 2)


def level(inertia: Array, own: Array, momenta: Array, step_s: float) -> Array:
    """Somersault [T, B, 2] since the start of bodies turning about their axis across: left side or right along y."""
    rates = (momenta[:, None] - own[..., :1] * np.array([1.0, -1])) / inertia[..., 0, :1]
    return np.concatenate([np.zeros_like(rates[:1]), np.cumsum(rates[1:] + rates[:-1], 0) * (step_s / 2)])


def _quaternion(turn: Array) -> tuple[float, float, float, float]:
    _, vectors = np.linalg.eigh(
        np.array(
            [
                [np.trace(turn), turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]],
                [0, turn[0, 0] - turn[1, 1] - turn[2, 2], turn[0, 1] + turn[1, 0], turn[0, 2] + turn[2, 0]],
                [0, 0, turn[1, 1] - turn[0, 0] - turn[2, 2], turn[1, 2] + turn[2, 1]],
                [0, 0, 0, turn[2, 2] - turn[0, 0] - turn[1, 1]],
            ]
        ),
        UPLO="U",
    )
    w, x, y, z = vectors[:, -1].tolist()
    return w, x, y, z


def rate_of(values: Array, step_s: float) -> Array:
    """Rate of change of `values` [T, ...]: fourth order inside, second order at the two outermost on each side."""
    rates = np.gradient(values, step_s, axis=0, edge_order=2)
    rates[2:-2] = (8 * (values[3:-1] - values[1:-3]) - (values[4:] - values[:-4])) / (12 * step_s)
    return np.asarray(rates)


def matrices(quaternions: Array) -> Array:
    """Rotation matrices [T, 3, 3] of unit quaternions [T, 4]."""
    w, x, y, z = quaternions.T
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, -1).reshape(-1, 3, 3)


def rolling(turns: Array) -> tuple[Array, Array]:
    """Somersault and twist angles [T] in radians of attitudes [T, 3, 3] whose columns are across (left), back, up.

    Somersault: turn of the long axis about y, 0 upright. Twist: turn of the body about its long axis, measured from
    the somersault axis, so that tilt and coning add nothing.
    """
    across, along = turns[:, :, 0], turns[:, :, 2]
    level = np.array([0.0, 1, 0]) - along[:, 1:2] * along
    twist = np.arctan2(np.sum(np.cross(level, across) * along, -1), np.sum(across * level, -1))
    somersault = np.unwrap(np.arctan2(along[:, 0], along[:, 2]))
    return somersault, np.unwrap(twist)


def free_fall(start: Array, velocity: Array, times: Array) -> Array:
    """Places [T, 3] of a point that falls freely."""
    return np.asarray(start + times[:, None] * velocity + (times**2)[:, None] * np.array([0, 0, -GRAVITY_M_S2 / 2]))


def likeness(body_shape: Shape) -> Shape:
    """A quick stand-in for `body_shape`, of the same lengths: a tenth of the time and right within centimetres.

    For poses of this module only: trunk, neck and legs move in the sagittal plane, the arms anyhow.
    """
    still = body_shape(np.zeros((1, len(ANGLES))))[0]
    bone = {(a, b): still[b] - still[a] for a, b in ((0, 7), (7, 8), (8, 9), (9, 10))}
    limbs = [(1.0, "left", 4, 11), (-1.0, "right", 1, 14)]

    def length(a: int, b: int) -> float:
        return float(np.linalg.norm(still[b] - still[a]))

    def stand_in(angles: Array) -> Array:
        joints = np.zeros((len(angles), 17, 3))
        flex = angles[:, COLUMN["trunk_flex"]]
        sine, cosine = np.sin(flex), np.cos(flex)

        def chest(way: Array) -> Array:
            y, z = way[..., 1], way[..., 2]
            return np.stack(np.broadcast_arrays(way[..., 0], cosine * y - sine * z, sine * y + cosine * z), -1)

        for start, end, turn in (
            (0, 7, 0.35 * flex), (7, 8, flex), (8, 9, flex + 0.7 * angles[:, COLUMN["neck_flex"]]),
            (9, 10, flex + angles[:, COLUMN["neck_flex"]]),
        ):  # fmt: skip
            _, y, z = bone[start, end]
            joints[:, end, 1] = joints[:, start, 1] + np.cos(turn) * y - np.sin(turn) * z
            joints[:, end, 2] = joints[:, start, 2] + np.sin(turn) * y + np.cos(turn) * z
        for sign, side, hip, shoulder in limbs:
            rise, plane, turn, elbow = (angles[:, COLUMN[f"{side}_{name}"]] for name in ARM)
            lift = 0.15 * np.clip(rise - np.pi / 4, 0, None) ** 2
            girdle = np.stack([sign * np.cos(lift), 0 * lift, np.sin(lift)], -1) * abs(still[shoulder, 0])
            girdle[:, 2] += still[shoulder, 2] - still[8, 2]
            joints[:, shoulder] = joints[:, 8] + chest(girdle)
            sr, cr, sp, cp = np.sin(rise), np.cos(rise), np.sin(plane), np.cos(plane)
            upper = np.stack([sign * sr * sp, -sr * cp, -cr], -1)
            forward = np.stack([sign * cr * sp, -cr * cp, sr], -1)
            across = np.stack([cp, sign * sp, 0 * sp], -1) * sign
            towards = np.cos(turn)[:, None] * forward - np.sin(turn)[:, None] * across
            fore = np.cos(elbow)[:, None] * upper + np.sin(elbow)[:, None] * towards
            joints[:, shoulder + 1] = joints[:, shoulder] + length(shoulder, shoulder + 1) * chest(upper)
            joints[:, shoulder + 2] = joints[:, shoulder + 1] + length(shoulder + 1, shoulder + 2) * chest(fore)
            joints[:, hip] = still[hip]
            bend = angles[:, COLUMN[f"{side}_hip_flex"]]
            for lower, turned in ((hip + 1, bend), (hip + 2, bend - angles[:, COLUMN[f"{side}_knee"]])):
                size = length(lower - 1, lower)
                joints[:, lower] = joints[:, lower - 1]
                joints[:, lower, 1] -= size * np.sin(turned)
                joints[:, lower, 2] -= size * np.cos(turned)
        return joints

    return stand_in


def spaced(body_shape: Shape, quick: Shape, step_s: float) -> Shape:
    """`body_shape` for poses in steps of `step_s` of one smooth motion: asked for one in `SHAPE_STEP_S` only.

    What it differs from `quick` by is millimetres and changes slowly; between, a cubic spline.
    """
    every = int(SHAPE_STEP_S / step_s + 1e-6)
    if every < 2:
        return body_shape

    def shape_of(angles: Array) -> Array:
        near = quick(angles)
        knots = np.unique(np.append(np.arange(0, len(angles) - every // 2, every), len(angles) - 1))
        if len(knots) < 4:
            return body_shape(angles)
        beside = body_shape(angles[knots]) - near[knots]
        return near + _spline(knots, beside.reshape(len(knots), -1), len(angles)).reshape(near.shape)

    return shape_of


def _spline(knots: Array, values: Array, count: int) -> Array:
    """Values [count, D] at 0, 1, ... of the natural cubic spline through `values` [K, D] at the numbers `knots`."""
    gap = np.diff(knots).astype(float)
    slope = np.diff(values, axis=0) / gap[:, None]
    inner = np.diag((gap[:-1] + gap[1:]) / 3) + np.diag(gap[1:-1] / 6, 1) + np.diag(gap[1:-1] / 6, -1)
    bend = np.zeros_like(values)
    bend[1:-1] = np.linalg.solve(inner, np.diff(slope, axis=0))
    at = np.arange(count)
    k = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(gap) - 1)
    width = gap[k, None]
    b = (at - knots[k])[:, None] / width
    a = 1 - b
    curve = ((a**3 - a) * bend[k] + (b**3 - b) * bend[k + 1]) * width**2 / 6
    return np.asarray(a * values[k] + b * values[k + 1] + curve)


class Attempt:
    """A plan with its body at the last instant on the board: flies it for any angular momentum and throw.

    `front` is that of its throws.
    """

    def __init__(self, plan: Plan, body_shape: Shape, body: mass.Points, off: TakeOff, front: bool = False) -> None:
        self.plan, self.shape, self.body, self.off, self.front = plan, body_shape, body, off, front
        self.quick = likeness(body_shape)
        self.centre = body.centre(off.joints)
        self.velocity = np.array([plan.speed_out_m_s, 0.0, plan.speed_up_m_s])
        name = "entry" if plan.code.head_first else "feet_entry"
        joints = body_shape(shape.POSES[name][None])[0]
        side = 1.0 if plan.code.head_first else -1.0
        reach = float((side * (joints[:, 2] - body.centre(joints)[2])).max())
        drop = self.centre[2] + plan.height_m - reach
        up = plan.speed_up_m_s
        self.flight_s = float((up + np.sqrt(up * up + 2 * GRAVITY_M_S2 * drop)) / GRAVITY_M_S2)

    def in_front(self) -> Attempt:
        """The same with arms that go in front of the body."""
        return Attempt(self.plan, self.shape, self.body, self.off, front=True)

    def throw(self, size: float, high: float, until: float = 2.0, back: float = 0.0) -> shape.Throw:
        """A throw of this attempt's kind."""
        return shape.Throw(size, high, until, back, self.front)

    def angles(self, momentum: float, throw: shape.Throw, times: Array) -> Array:
        """Angles [T, A] at `times`."""
        rates = self.off.rates(momentum)[1:-1]
        return shape.angles(self.plan, self.off.angles, rates, times, self.flight_s, throw)

    def moments(self, angles: Array, step_s: float, body_shape: Shape) -> tuple[Array, Array, Array]:
        """Joints [T, B, 17, 3] about the centre of gravity in body axes, inertia [T, B, 3, 3] and limbs' share
        [T, B, 3] of poses [T, B, A] in steps of `step_s`.
        """
        joints = body_shape(angles.reshape(-1, angles.shape[-1])).reshape(*angles.shape[:2], 17, 3)
        joints = joints - self.body.centre(joints)[..., None, :]
        points = self.body.from_joints @ joints
        speed = rate_of(points, step_s)
        return joints, self.body.inertia(points), self.body.angular_momentum(points, speed)

    def courses(
        self, momenta: Array, throws: list[shape.Throw], step_s: float, body_shape: Shape
    ) -> tuple[Array, Array, Array]:
        """Times [T] of the planned flight, courses [T, B, 4] (see `courses`) of flights with `momenta` [B], and the
        somersault [T, B, 2] since the start if the body turned about its own axis across, its left side (its right
        side) along y.
        """
        count = int(np.ceil(self.flight_s / step_s))
        half_times = np.linspace(0, self.flight_s, 2 * count + 1)
        pairs = zip(momenta, throws, strict=True)
        angles = np.stack([self.angles(float(momentum), throw, half_times) for momentum, throw in pairs], 1)
        _, inertia, own = self.moments(angles, half_times[1], body_shape)
        course = courses(np.linalg.inv(inertia), own, momenta, self.off.turn[1], half_times[2])
        return half_times[::2], course, level(inertia[::2], own[::2], momenta, half_times[2])

    def fly(self, momentum: float, throw: shape.Throw, step_s: float, more_s: float = 0.15) -> Flight:
        """The flight in steps of `step_s`, `more_s` longer than planned."""
        count = int(np.ceil((self.flight_s + more_s) / step_s))
        half_times = np.arange(2 * count + 1) * (step_s / 2)
        angles = self.angles(momentum, throw, half_times)
        body_shape = spaced(self.shape, self.quick, step_s / 2)
        joints, inertia, own = (part[:, 0] for part in self.moments(angles[:, None], step_s / 2, body_shape))
        turns = matrices(attitudes(inertia, own, self.off.turn, momentum, step_s))
        times = half_times[::2]
        centre = free_fall(self.centre, self.velocity, times)
        world = centre[:, None] + joints[::2] @ np.swapaxes(turns, -1, -2)
        return Flight(times, turns, world, centre, angles[::2], momentum, self.velocity)
