"""Media time of a live source against the clock of the test, and how fast it runs."""

import itertools

import numpy as np
import pytest

from pipeline.sources.clock import Drift, LiveClock

MS = 1_000_000
S = 1_000_000_000


def played(clock: LiveClock, pairs: list[tuple[float | None, float]]) -> list[float]:
    """Media times in ms of (presentation, arrival) in ms."""
    return [clock.at(None if shown is None else round(shown * MS), round(at * MS)) / MS for shown, at in pairs]


def clock(rate_hz: float = 25.0) -> LiveClock:
    made = LiveClock()
    made.connected(rate_hz)
    return made


def test_it_follows_the_source_and_not_the_jitter_of_the_way() -> None:
    assert played(clock(), [(900, 10), (940, 75), (980, 90), (1020, 200), (1060, 201)]) == [0, 40, 80, 120, 160]


def test_the_first_time_can_be_given() -> None:
    made = LiveClock()
    made.begin(7 * S)
    made.connected(25.0)
    assert played(made, [(0, 5), (40, 45)]) == [7000, 7040]


def test_pictures_held_back_and_sent_at_once_keep_their_times() -> None:
    pairs = [(0, 0), (40, 40), *((80 + 40 * n, 3000 + n) for n in range(75)), (3080, 3080)]
    made = clock()
    assert played(made, pairs) == [0, 40, *(80 + 40 * n for n in range(75)), 3080]
    assert made.jumps == 0


def test_a_burst_at_the_start_is_no_jump() -> None:
    made = clock()
    assert played(made, [(40 * n, n) for n in range(100)])[-1] == 40 * 99
    assert made.jumps == 0


def test_a_gap_in_the_pictures_is_one_in_time() -> None:
    made = clock()
    assert played(made, [(0, 0), (40, 40), (5040, 5040)]) == [0, 40, 5040]
    assert made.jumps == 0


def test_a_late_picture_and_then_one_in_time_are_no_jump() -> None:
    made = clock()
    assert played(made, [(0, 0), (40, 3000), (3040, 3041)]) == [0, 40, 3040]
    assert made.jumps == 0


@pytest.mark.parametrize("by_ms", [3_600_000, 5_000, -40, -5_000, -3_600_000, -2_147_483_648])
def test_a_jump_of_the_sources_clock_is_taken_out(by_ms) -> None:
    made = clock()
    pairs = [(10_000_000 + 40 * n + (by_ms if n >= 50 else 0), 40 * n) for n in range(100)]
    times = played(made, pairs)
    assert np.allclose(np.diff(times), 40, atol=1)
    assert made.jumps == 1


def test_without_times_pictures_are_a_period_apart_or_as_long_as_nothing_came() -> None:
    assert played(clock(50.0), [(None, 0), (None, 19), (None, 45), (None, 5045)]) == [0, 20, 40, 5040]


def test_a_reconnection_goes_on_by_the_hosts_clock() -> None:
    made = clock()
    assert played(made, [(9000, 0), (9040, 40)]) == [0, 40]
    made.connected(25.0)
    assert played(made, [(7, 3040), (47, 3080)]) == [3040, 3080]
    assert made.jumps == 0


def test_what_connections_buffer_does_not_add_up() -> None:
    made = clock()
    times: list[float] = []
    for number in range(100):
        made.connected(25.0)
        began = 10_000 * number
        times += played(made, [(40 * n, began + n) for n in range(20)])  # 0.8 s of pictures at once
    assert all(before < after for before, after in itertools.pairwise(times))
    assert times[-1] - (10_000 * 99 + 19) < 1000


@pytest.mark.parametrize("ppm", [-80.0, 0.0, 35.0])
def test_drift_is_found_under_delays(ppm) -> None:
    rng = np.random.default_rng(3)
    drift = Drift()
    for n in range(25 * 120):
        true_s = n / 25
        delay_s = 0.02 + rng.exponential(0.01) + (0.5 if 40 < true_s % 60 < 55 else 0.0)
        drift.saw(round(true_s * (1 + ppm * 1e-6) * S), round((true_s + delay_s) * S))
    assert drift.ppm == pytest.approx(ppm, abs=15)


def test_drift_says_nothing_before_it_can() -> None:
    drift = Drift()
    assert drift.ppm is None
    assert drift.jitter_ms == 0.0
    for n in range(25 * 15):
        drift.saw(n * 40 * MS, n * 40 * MS + (20 * MS if n % 10 == 0 else 0))
    assert drift.ppm is None
    assert drift.jitter_ms == pytest.approx(20.0)
