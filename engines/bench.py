"""How long a network takes, through the same session the stages use."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.examples import noise
from engines.session import Array, Session


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one call: quantiles over `runs` calls, processor time (of all threads), and of the first call.

    On a machine that does other work too, `cpu_ms` still says what the network costs.
    """

    network: str
    device: str
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    first_ms: float
    runs: int


def time_session(
    session: Session, axes: Mapping[str, int] | None = None, budget_s: float = 2.0, runs: int = 100
) -> Timing:
    """Time `session` on noise: `runs` calls after a short warm-up, fewer when `budget_s` is over, at least 5.

    `axes` are the sizes of the free axes, by default one subject and five hypotheses.
    """
    inputs = noise(session.contract, {"B": 1, "H": 5} if axes is None else axes)
    first, _ = _call_ms(session, inputs)
    for _ in range(3):
        session.run(inputs)
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + budget_s
    while len(times) < runs and (len(times) < 5 or time.perf_counter() < end):
        times.append(_call_ms(session, inputs))
    walls, cpus = zip(*times, strict=True)
    p50, p99 = (float(value) for value in np.percentile(walls, [50, 99]))
    return Timing(session.contract.network, session.device, p50, p99, float(np.median(cpus)), first, len(times))


def _call_ms(session: Session, inputs: Mapping[str, Array]) -> tuple[float, float]:
    """Milliseconds on the clock, and of processor time."""
    start, start_cpu = time.perf_counter_ns(), time.process_time_ns()
    session.run(inputs)
    return (time.perf_counter_ns() - start) / 1e6, (time.process_time_ns() - start_cpu) / 1e6
