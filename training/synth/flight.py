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

from training.synth import mass, shape
from training.synth.board import Shape, TakeOff
from training.synth.plan import Plan

Array = npt.NDArray[Any]

GRAVITY_M_S2: Final = 9.81
SEARCH_STEP_S: Final = 0.016


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


class Attempt:
    """A plan with its body at the last instant on the board: flies it for any angular momentum and tilt."""

    def __init__(self, plan: Plan, body_shape: Shape, body: mass.Points, off: TakeOff) -> None:
        self.plan, self.shape, self.body, self.off = plan, body_shape, body, off
        self.centre = body.centre(off.joints)
        self.velocity = np.array([plan.speed_out_m_s, 0.0, plan.speed_up_m_s])
        name = "entry" if plan.code.head_first else "feet_entry"
        joints = body_shape(shape.POSES[name][None])[0]
        side = 1.0 if plan.code.head_first else -1.0
        reach = float((side * (joints[:, 2] - body.centre(joints)[2])).max())
        drop = self.centre[2] + plan.height_m - reach
        up = plan.speed_up_m_s
        self.flight_s = float((up + np.sqrt(up * up + 2 * GRAVITY_M_S2 * drop)) / GRAVITY_M_S2)

    def bodies(self, momentum: float, throw: shape.Throw, half_times: Array) -> tuple[Array, Array, Array, Array]:
        """Angles, joints about the centre of gravity (body axes), inertia and limbs' share at `half_times` [M]."""
        rates = self.off.rates(momentum)[1:-1]
        angles = shape.angles(self.plan, self.off.angles, rates, half_times, self.flight_s, throw)
        joints = self.shape(angles)
        joints = joints - self.body.centre(joints)[:, None]
        points = self.body.from_joints @ joints
        speed = rate_of(points, half_times[1] - half_times[0])
        return angles, joints, self.body.inertia(points), self.body.angular_momentum(points, speed)

    def turns(
        self,
        momentum: float,
        throw: shape.Throw,
        until_s: float,
        from_s: float = 0.0,
        start: Array | None = None,
        step_s: float = SEARCH_STEP_S,
    ) -> tuple[Array, Array]:
        """Times [T] in steps of `step_s`, attitudes [T, 3, 3]; from `start` [3, 3] at `from_s` or the take-off."""
        count = int(np.ceil((until_s - from_s) / step_s))
        half_times = np.linspace(from_s, until_s, 2 * count + 1)
        _, _, inertia, own = self.bodies(momentum, throw, half_times)
        start = self.off.turn if start is None else start
        return half_times[::2], matrices(attitudes(inertia, own, start, momentum, (until_s - from_s) / count))

    def planar(self, momentum: float, throw: shape.Throw, side: float, from_s: float = 0.0) -> float:
        """Somersault angle from `from_s` to the end of the flight when the body does not tilt; `side` is +1 when the
        left side of the body looks along y, else -1.
        """
        times = np.linspace(from_s, self.flight_s, max(8, int((self.flight_s - from_s) / SEARCH_STEP_S)))
        _, _, inertia, own = self.bodies(momentum, throw, times)
        return float(np.trapezoid((momentum - side * own[:, 0]) / inertia[:, 0, 0], times))

    def fly(self, momentum: float, throw: shape.Throw, step_s: float, more_s: float = 0.15) -> Flight:
        """The flight in steps of `step_s`, `more_s` longer than planned."""
        count = int(np.ceil((self.flight_s + more_s) / step_s))
        half_times = np.arange(2 * count + 1) * (step_s / 2)
        angles, joints, inertia, own = self.bodies(momentum, throw, half_times)
        turns = matrices(attitudes(inertia, own, self.off.turn, momentum, step_s))
        times = half_times[::2]
        centre = free_fall(self.centre, self.velocity, times)
        world = centre[:, None] + joints[::2] @ np.swapaxes(turns, -1, -2)
        return Flight(times, turns, world, centre, angles[::2], momentum, self.velocity)
