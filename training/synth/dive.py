"""Dives with exact truth: board, ballistic flight with constant angular momentum, entry, a moment under water.

World: metres, z up, origin at the edge of the board or platform, x away from it over the water, y to the left of a
diver who looks along x. In flight the centre of gravity falls freely (g = 9.81 m/s2, no drag) and the body turns so
that the angular momentum of its moving segments stays what it was at take-off: L = R (I w + h), where h is the share
of the limbs' motion relative to the pelvis. Key poses decide the shape, physics decides the turning.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.synth import mass
from training.synth.board import SPRING, Board, Plan, Shape, ringing, smooth, take_off
from training.synth.poses import KEY_POSES

Array = npt.NDArray[Any]

GRAVITY_M_S2: Final = 9.81
STEP_HZ: Final = 1000
DRAG_TIME_S: Final = 0.25
"""Time in which water takes the speed down to 1/e."""
ENTRY_SHORT_RAD: Final = 0.12
"""Hands meet the water this much before the vertical; the body goes on turning while it sinks."""

_FLIGHTS: Final[dict[str, tuple[tuple[float, str], ...]]] = {
    # share of the flight time, key pose
    "tuck": ((0.26, "tuck"), (0.60, "tuck"), (0.76, "layout_arms_up"), (0.9, "entry"), (1.0, "entry")),
    "pike": ((0.26, "pike"), (0.60, "pike"), (0.78, "layout_arms_up"), (0.9, "entry"), (1.0, "entry")),
    "straight": ((0.3, "swan"), (0.6, "layout"), (0.9, "entry"), (1.0, "entry")),
    "twist": (
        (0.14, "layout_arms_up"), (0.30, "twist_left"), (0.55, "twist_left"),
        (0.70, "layout_arms_up"), (0.9, "entry"), (1.0, "entry"),
    ),
}  # fmt: skip


def random_plan(rng: np.random.Generator) -> Plan:
    """A forward dive from 1 m to 10 m with as many somersaults as its height allows."""
    height, up, halves = [(1.0, 4.3, (1, 3)), (3.0, 4.2, (1, 3, 5)), (5.0, 2.7, (1, 3)), (10.0, 2.7, (1, 3, 5))][
        int(rng.integers(4))
    ]
    turns = int(rng.choice(halves))
    position = (
        str(rng.choice(["tuck", "pike"])) if turns > 1 else str(rng.choice(["tuck", "pike", "straight", "twist"]))
    )
    return Plan(
        position=position,  # type: ignore[arg-type]
        half_somersaults=turns,
        height_m=height,
        speed_up_m_s=float(up + rng.normal(0, 0.2)),
        speed_out_m_s=float(rng.uniform(0.9, 1.4)),
        board_dip_m=0.4 if height <= 3 else 0.0,
        female=float(rng.integers(2)),
    )


@dataclass(frozen=True)
class Dive:
    """One dive sampled at `rate_hz`.

    `t_s` [T]; `joints_world_m` [T, 17, 3]; `turn` [T, 3, 3] world from canonical body; `angles` [T, A] the pose;
    `centre_world_m` [T, 3]; `phase` [T] stand, crouch, push, flight, entry or under; `board_tip_m` [T] height of the
    board's tip; `events_s` take_off, apex, entry (hands or feet touch the water), under (everything below it);
    `momentum` [3] angular momentum in flight per unit of mass, m2/s; `plan` what was attempted.
    """

    rate_hz: float
    t_s: Array
    joints_world_m: Array
    turn: Array
    angles: Array
    centre_world_m: Array
    phase: list[str]
    board_tip_m: Array
    events_s: dict[str, float]
    momentum: Array
    plan: Plan


def _keyed(times: Array, keys: tuple[tuple[float, str], ...]) -> Array:
    """Angles [T, A] from the take-off through key poses, at rest at each of them."""
    poses = [(0.0, SPRING), *((share, KEY_POSES[name]) for share, name in keys)]
    angles = np.repeat(SPRING[None], len(times), 0)
    for (start, first), (end, second) in itertools.pairwise(poses):
        angles += smooth((times - start) / (end - start))[:, None] * (second - first)
    return angles


def _fly(shape_joints: Array, body: mass.Points, start: Array, momentum: Array, step_s: float) -> Array:
    """Orientations [T, 3, 3] of the body frame under constant angular momentum (per unit mass), midpoint rule."""
    local = body.from_joints @ (shape_joints - body.centre(shape_joints)[:, None])
    speed = np.gradient(local, step_s, axis=0, edge_order=2)
    inverse = np.linalg.inv(body.inertia(local))
    own = body.angular_momentum(local, speed)
    turns = np.empty((len(local), 3, 3))
    turns[0] = start
    for k in range(len(local) - 1):
        first = turns[k] @ inverse[k] @ (turns[k].T @ momentum - own[k])
        half = _exp(first * step_s / 2) @ turns[k]
        middle = (inverse[k] + inverse[k + 1]) / 2
        rate = half @ middle @ (half.T @ momentum - (own[k] + own[k + 1]) / 2)
        turns[k + 1] = _exp(rate * step_s) @ turns[k]
    return turns


def _exp(rotation: Array) -> Array:
    x, y, z = rotation
    angle = float(np.sqrt(x * x + y * y + z * z))
    if angle < 1e-12:
        return np.eye(3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * (cross @ cross))


def _pitch_turned(turns: Array) -> float:
    """Angle in radians by which the body's long axis has turned forward, accumulated over `turns` [T, 3, 3]."""
    axis = turns[:, :, 2]
    angle = np.unwrap(np.arctan2(axis[:, 0], axis[:, 2]))
    return float(angle[-1] - angle[0])


def _momentum_for(plan: Plan, joints: Array, body: mass.Points, start: Array, step_s: float) -> Array:
    """Angular momentum [3] that brings the diver head down at the end of the flight (secant search)."""
    wanted = np.pi * plan.half_somersaults - ENTRY_SHORT_RAD - float(np.arctan2(start[0, 2], start[2, 2]))

    def turned(size: float) -> float:
        # Every fourth step is exact enough to search with.
        return _pitch_turned(_fly(joints[::4], body, start, np.array([0, size, 0]), 4 * step_s))

    local = body.from_joints @ (joints - body.centre(joints)[:, None])
    sway = float(np.mean(1 / body.inertia(local)[:, 0, 0])) * len(joints) * step_s
    first, second = 0.9 * wanted / sway, wanted / sway
    first_miss, miss = turned(first) - wanted, turned(second) - wanted
    for _ in range(12):
        if abs(miss) < 1e-3 or miss == first_miss:
            break
        first, second, first_miss = second, second - miss * (second - first) / (miss - first_miss), miss
        miss = turned(second) - wanted
    return np.array([0.0, second, 0.0])


def _sink(
    plan: Plan, body: mass.Points, joints: Array, centre: Array, velocity: Array, turns: Array, step_s: float
) -> tuple[Array, Array, Array]:
    """Under water: (centres, orientations, joints) with the pose of the last moment; weight is carried by the water.

    The submerged share of the mass feels drag (time constant DRAG_TIME_S), the rest falls on; turning dies out.
    """
    count = round((plan.under_s + 0.35) / step_s)
    last, before = turns[-1], turns[-2]
    spin = (last @ before.T - np.eye(3)) / step_s
    rate = np.array([spin[2, 1], spin[0, 2], spin[1, 0]])
    shape = body.from_joints @ (joints - body.centre(joints))
    relative = joints - body.centre(joints)
    centres, orientations = [], []
    place, speed, turn = centre.copy(), velocity.copy(), last.copy()
    for _ in range(count):
        wet = float(body.masses @ ((place + shape @ turn.T)[:, 2] < -plan.height_m))
        speed = speed + step_s * ((1 - wet) * np.array([0, 0, -GRAVITY_M_S2]) - wet * speed / DRAG_TIME_S)
        place = place + step_s * speed
        rate = rate * (1 - step_s * (0.5 + 12 * wet))
        turn = _exp(rate * step_s) @ turn
        centres.append(place)
        orientations.append(turn)
    stacked = np.stack(orientations)
    world = np.stack(centres)[:, None] + np.einsum("tij,kj->tki", stacked, relative)
    return np.stack(centres), stacked, world


def simulate(plan: Plan, shape: Shape, rate_hz: float = 50.0) -> Dive:
    """The dive of `plan` by a body whose joints follow from angles by `shape`, sampled at `rate_hz`."""
    every = max(1, round(STEP_HZ / rate_hz))
    step = 1 / (rate_hz * every)
    body = mass.points(plan.female)
    board = take_off(plan, shape, body, step)
    start = body.centre(board.joints[-1])

    reach = _reach(shape, body)
    drop = start[2] + plan.height_m - reach
    flight_s = float((board.velocity[2] + np.sqrt(board.velocity[2] ** 2 + 2 * GRAVITY_M_S2 * drop)) / GRAVITY_M_S2)
    count = round(flight_s / step)
    times = np.arange(count + 1) * step
    angles = _keyed(times / flight_s, _FLIGHTS[plan.position])
    local = shape(angles)
    momentum = _momentum_for(plan, local, body, board.turn[-1], step)
    turns = _fly(local, body, board.turn[-1], momentum, step)
    fall = np.array([0, 0, -0.5 * GRAVITY_M_S2])
    centre = start + times[:, None] * board.velocity + (times**2)[:, None] * fall
    relative = local - body.centre(local)[:, None]
    flight = centre[:, None] + np.einsum("tij,tkj->tki", turns, relative)

    end = count
    wet = np.flatnonzero(flight[:, :, 2].min(1) <= -plan.height_m)
    end = int(wet[0]) if len(wet) else count
    speed = board.velocity + 2 * fall * times[end]
    sunk, sunk_turns, sunk_joints = _sink(plan, body, local[end], centre[end], speed, turns[: end + 1], step)
    return _assembled(
        plan, board, rate_hz, every, momentum,
        flight=(centre[1 : end + 1], turns[1 : end + 1], flight[1 : end + 1], angles[1 : end + 1]),
        sunk=(sunk, sunk_turns, sunk_joints),
    )  # fmt: skip


def _reach(shape: Shape, body: mass.Points) -> float:
    """Distance from the centre of gravity to the wrists with the arms stretched for the entry, metres."""
    joints = shape(KEY_POSES["entry"][None])[0]
    return float(max(joints[13, 2], joints[16, 2]) - body.centre(joints)[2])


def _assembled(
    plan: Plan,
    board: Board,
    rate_hz: float,
    every: int,
    momentum: Array,
    flight: tuple[Array, Array, Array, Array],
    sunk: tuple[Array, Array, Array],
) -> Dive:
    body = mass.points(plan.female)
    joints = np.concatenate([board.joints, flight[2], sunk[2]])
    centre = np.concatenate([body.centre(board.joints), flight[0], sunk[0]])
    turn = np.concatenate([board.turn, flight[1], sunk[1]])
    last = np.repeat(flight[3][-1:], len(sunk[0]), 0)
    angles = np.concatenate([board.angles, flight[3], last])
    step = 1 / (rate_hz * every)
    off, entry = len(board.joints) - 1, len(board.joints) + len(flight[0]) - 1
    dry = np.flatnonzero(joints[:, :, 2].max(1) > -plan.height_m)
    under = min(int(dry[-1]) + 1, len(joints) - 1)
    phase = board.phase + ["flight"] * len(flight[0]) + ["entry"] * (under - entry - 1)
    phase += ["under"] * (len(joints) - len(phase))
    # The time axis starts so that the take-off falls on a frame of the fine grid, not necessarily of the coarse one.
    take = np.arange(0, len(joints), every)
    tip = np.concatenate([board.tip, ringing(plan, np.arange(1, len(joints) - off) * step)])
    apex = off + int(np.argmax(flight[0][:, 2])) + 1
    events = {"take_off": off * step, "apex": apex * step, "entry": entry * step, "under": under * step}
    return Dive(
        rate_hz, take * step, joints[take], turn[take], angles[take], centre[take], [phase[k] for k in take],
        tip[take], events, momentum, plan,
    )  # fmt: skip
