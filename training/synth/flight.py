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
from training.synth.code import DiveError
from training.synth.plan import Plan

Array = npt.NDArray[Any]

GRAVITY_M_S2: Final = 9.81
SEARCH_STEP_S: Final = 0.016
MOST_MOMENTUM: Final = 1.6
"""Angular momentum per unit of mass, m2/s, that no diver exceeds (about 100 kg m2/s at 65 kg)."""
_FIRST: Final = (0.0, 0.2, 0.4, 0.6, 0.85, 1.1)
_WEIGHTS: Final = np.array([0.5, 1.0, 3.0])
_SIZES: Final = np.array([0.12, 0.25, 0.25, 0.06])
"""How far a search step may go: angular momentum, sideways share of the throws, time of the second."""
MOST_TILT: Final = 1.25
"""How far through the side an arm can go; 1 is the frontal plane."""


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

    def bodies(self, momentum: float, tilt: Array, half_times: Array) -> tuple[Array, Array, Array, Array]:
        """Angles, joints about the centre of gravity (body axes), inertia and limbs' share at `half_times` [M]."""
        rates = self.off.rates(momentum)[1:-1]
        angles = shape.angles(self.plan, self.off.angles, rates, half_times, self.flight_s, tilt)
        joints = self.shape(angles)
        joints = joints - self.body.centre(joints)[:, None]
        points = self.body.from_joints @ joints
        speed = np.gradient(points, half_times[1] - half_times[0], axis=0, edge_order=2)
        return angles, joints, self.body.inertia(points), self.body.angular_momentum(points, speed)

    def ends(self, momentum: float, tilt: Array) -> Array:
        """Somersault angle, twist angle and sideways lean at the end of the flight, radians, to search with."""
        count = int(np.ceil(self.flight_s / SEARCH_STEP_S))
        half_times = np.linspace(0, self.flight_s, 2 * count + 1)
        _, _, inertia, own = self.bodies(momentum, tilt, half_times)
        turns = matrices(attitudes(inertia, own, self.off.turn, momentum, self.flight_s / count))
        somersault, twist = rolling(turns)
        start = np.arctan2(self.off.turn[0, 2], self.off.turn[2, 2])
        if not self.plan.code.half_twists:
            return np.array([somersault[-1] - start, 0.0, 0.0])
        # A twist is judged when the arms have ended it; what follows would only magnify what is left of the tilt.
        at = min(count, round((float(tilt[2]) + shape.THROW_S / self.flight_s) * count))
        side = np.sign(turns[at, 1, 0])
        rate = (momentum - side * own[::2, 0]) / inertia[::2, 0, 0]
        rest = float(np.trapezoid(rate[at:], half_times[::2][at:]))
        return np.array([somersault[at] - start + rest, twist[at] - twist[0], turns[at, 1, 2]])

    def twisted(self, momentum: float, tilt: float) -> Array:
        """Twist angle [T] over the flight when nothing ends the twist."""
        count = int(np.ceil(self.flight_s / SEARCH_STEP_S))
        half_times = np.linspace(0, self.flight_s, 2 * count + 1)
        _, _, inertia, own = self.bodies(momentum, np.array([tilt, 0.5, 2.0]), half_times)
        turns = matrices(attitudes(inertia, own, self.off.turn, momentum, self.flight_s / count))
        twist = rolling(turns)[1]
        return np.asarray(twist - twist[0])

    def arrives(self, momentum: float, tilt: Array, wanted: Array) -> bool:
        """Whether the entry is near `wanted` [2] (somersault, twist still to turn): 20, 50 and 20 degrees of lean."""
        turns = self.fly(momentum, tilt, SEARCH_STEP_S / 2, 0.0).turn
        somersault, twist = rolling(turns)
        start = np.arctan2(self.off.turn[0, 2], self.off.turn[2, 2])
        near = abs(somersault[-1] - start - wanted[0]) < 0.35 and abs(twist[-1] - twist[0] - wanted[1]) < 0.9
        return bool(near and abs(turns[-1, 1, 2]) < 0.35)

    def planar(self, turn: float, tilt: Array) -> float:
        """Angular momentum that would turn the body by `turn` if nothing tilted."""
        half_times = np.linspace(0, self.flight_s, 120)
        sign = np.sign(self.off.turn[1, 0])

        def turned(momentum: float) -> float:
            _, _, inertia, own = self.bodies(momentum, tilt, half_times)
            rate = (momentum - sign * own[:, 0]) / inertia[:, 0, 0]
            return float(np.trapezoid(rate, half_times))

        still, moved = turned(0.0), turned(0.5)
        return 0.5 * (turn - still) / (moved - still)

    def fly(self, momentum: float, tilt: Array, step_s: float, more_s: float = 0.15) -> Flight:
        """The flight in steps of `step_s`, `more_s` longer than planned."""
        count = int(np.ceil((self.flight_s + more_s) / step_s))
        half_times = np.arange(2 * count + 1) * (step_s / 2)
        angles, joints, inertia, own = self.bodies(momentum, tilt, half_times)
        turns = matrices(attitudes(inertia, own, self.off.turn, momentum, step_s))
        times = half_times[::2]
        centre = free_fall(self.centre, self.velocity, times)
        world = centre[:, None] + joints[::2] @ np.swapaxes(turns, -1, -2)
        return Flight(times, turns, world, centre, angles[::2], momentum, self.velocity)


def wanted_turn(plan: Plan, start: Array) -> float:
    """Angle about y still to turn from the attitude `start` [3, 3] to the entry, radians."""
    stood = np.pi if plan.code.armstand else 0.0
    lean = float(np.arctan2(start[0, 2], start[2, 2])) - stood
    lean = float((lean + np.pi) % (2 * np.pi) - np.pi)
    sign = 1.0 if plan.code.turns_outward else -1.0
    return sign * (np.pi * plan.code.half_somersaults - plan.short_rad) - lean


def solved(attempt: Attempt) -> tuple[float, Array]:
    """Angular momentum and throw [3] that bring the diver into the water as planned. Raises DiveError if none does."""
    plan = attempt.plan
    turn = wanted_turn(plan, attempt.off.turn)
    throw = np.array([0.5, 0.5, shape.untwisted_at(plan)])
    if not plan.code.half_twists:
        return _somersault(attempt, turn, throw), throw
    momentum = attempt.planar(turn, throw)
    for start in _starts(attempt, momentum, throw[2]):
        sign = float(np.sign(attempt.ends(momentum, start)[1])) or 1.0
        wanted = np.array([turn, sign * np.pi * plan.code.half_twists, 0.0])
        found, _ = _newton(attempt, wanted, np.array([momentum, *start]))
        if abs(found[0]) < MOST_MOMENTUM and attempt.arrives(found[0], found[1:], wanted):
            return float(found[0]), found[1:]
    raise DiveError(f"dive {plan.code} from {plan.height_m:g} m: no throw of the arms makes this twist in the time")


def _starts(attempt: Attempt, momentum: float, usual: float) -> list[Array]:
    """Throws [3] to search from: for some tilts, the twist is ended when it has come around."""
    latest = 0.78 if usual > 0.7 else 0.62
    found = []
    for tilt in _FIRST:
        twist = np.abs(attempt.twisted(momentum, tilt))
        reached = np.flatnonzero(twist > np.pi * attempt.plan.code.half_twists - 0.5)
        share = reached[0] / len(twist) - 0.5 * shape.THROW_S / attempt.flight_s if len(reached) else 1.0
        found.append((abs(share - usual), np.array([tilt, 0.8 * tilt + 0.1, float(np.clip(share, 0.36, latest))])))
    return [start for _, start in sorted(found, key=lambda pair: pair[0])[:3]]


def _somersault(attempt: Attempt, turn: float, tilt: Array) -> float:
    """Secant search for the angular momentum that turns the body by `turn`."""
    first = 0.0
    first_miss = attempt.ends(first, tilt)[0] - turn
    second = float(np.sign(turn)) * 0.06 * abs(turn)
    for _ in range(14):
        miss = attempt.ends(second, tilt)[0] - turn
        if abs(miss) < 0.01 or miss == first_miss:
            break
        step = -miss * (second - first) / (miss - first_miss)
        first, first_miss = second, miss
        second += float(np.clip(step, -0.35, 0.35))
    if abs(miss) > 0.1 or abs(second) > MOST_MOMENTUM:
        raise DiveError(f"dive {attempt.plan.code} from {attempt.plan.height_m:g} m: no take-off turns so fast here")
    return second


def _newton(attempt: Attempt, wanted: Array, guess: Array) -> tuple[Array, Array]:
    """Damped Gauss-Newton from `guess` [4] (momentum, throw): the best found and what it misses [3]."""
    miss = attempt.ends(guess[0], guess[1:]) - wanted
    for _ in range(10):
        if np.abs(_WEIGHTS * miss).max() < 0.02:
            break
        columns = []
        for k, size in enumerate(_SIZES):
            moved = guess.copy()
            moved[k] += 0.02 * size
            columns.append((attempt.ends(moved[0], moved[1:]) - wanted - miss) / 0.02)
        step = _SIZES * np.clip(
            -np.linalg.lstsq(_WEIGHTS[:, None] * np.stack(columns, -1), _WEIGHTS * miss, rcond=0.02)[0], -1, 1
        )
        for shrink in (1.0, 0.5, 0.2):
            moved = np.clip(guess + shrink * step, [-9, -0.3, -0.3, 0.34], [9, MOST_TILT, MOST_TILT, 0.8])
            found = attempt.ends(moved[0], moved[1:]) - wanted
            if np.linalg.norm(_WEIGHTS * found) < np.linalg.norm(_WEIGHTS * miss):
                break
        guess, miss = moved, found
    return guess, miss
