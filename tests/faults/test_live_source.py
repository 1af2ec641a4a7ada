"""What may happen to a camera: each fault is seen, said with its cause, counted, and over soon after the camera is."""

import itertools
from collections.abc import Iterator

import pytest

from tests import rtsp
from tests.faults.scenarios import PASSWORD, SCENARIOS, Outcome, play_all, servers

pytestmark = pytest.mark.slow

QUICK = [scenario for scenario in SCENARIOS if not scenario.slow]
SEEN_S, BACK_S = 1.5, 4.5
"""Promised are 1 and 3 s on a quiet machine, measured in docs/reliability.md; this one plays all scenarios at once."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> Iterator[dict[str, Outcome]]:
    rtsp.require_gstreamer()
    with servers(tmp_path_factory.mktemp("cameras")) as ports:
        yield play_all(QUICK, ports)


@pytest.mark.parametrize("name", [scenario.name for scenario in QUICK])
def test_nothing_blocks_and_times_grow(outcomes, name) -> None:
    outcome = outcomes[name]
    assert outcome.longest_poll_s < 1.0, "heartbeats go on in every state"
    assert outcome.closing_s < 0.2
    times = [seen.t_media_s for seen in outcome.pictures]
    assert all(before < after for before, after in itertools.pairwise(times))
    lines = [change.line for _, change in outcome.changes]
    assert not any(PASSWORD in line or "secret@" in line for line in lines)


@pytest.mark.parametrize("name", [s.name for s in QUICK if s.fault_at is not None])
def test_a_fault_is_seen_soon(outcomes, name) -> None:
    assert outcomes[name].seen_s is not None
    assert outcomes[name].seen_s < SEEN_S


@pytest.mark.parametrize("name", [s.name for s in QUICK if s.return_at is not None])
def test_it_is_back_soon_after_the_camera(outcomes, name) -> None:
    assert outcomes[name].back_s is not None, outcomes[name].changes
    assert outcomes[name].back_s < BACK_S
    assert outcomes[name].states[-1] == "live"


@pytest.mark.parametrize(
    ("name", "states", "causes"),
    [
        ("absent", ["connecting", "live"], {"refused"}),
        ("off", ["connecting", "live", "lost", "live"], {"broken_off", "refused"}),
        ("cut", ["connecting", "live", "lost", "live"], {"broken_off"}),
        ("frozen", ["connecting", "live", "stalled", "lost", "live"], {"silent"}),
        ("blip", ["connecting", "live", "stalled", "live"], set()),
        ("udp frozen", ["connecting", "live", "stalled", "lost", "live"], {"silent"}),
        ("changed", ["connecting", "live", "lost"], {"broken_off", "unauthorized"}),
        ("404", ["connecting"], {"not_found"}),
        ("unknown", ["connecting"], {"unresolved"}),
        ("wrong", ["connecting"], {"unauthorized"}),
        ("secret", ["connecting", "live"], set()),
        ("typed", ["connecting", "live"], set()),
        ("h265", ["connecting", "live"], set()),
        ("codec", ["connecting", "live", "lost", "live"], {"broken_off"}),
    ],
)
def test_states_and_causes(outcomes, name, states, causes) -> None:
    stalls = "stalled" in states
    assert without_hiccups(outcomes[name].states, stalls) == states, outcomes[name].changes
    assert outcomes[name].causes == causes
    assert outcomes[name].health is not None
    assert set(outcomes[name].health.failures) == causes


def without_hiccups(states: list[str], stalls: bool) -> list[str]:
    """The states without what a busy machine makes of them: short stalls where none is looked for."""
    kept = [state for state in states if stalls or state != "stalled"]
    return [state for k, state in enumerate(kept) if k == 0 or state != kept[k - 1]]


@pytest.mark.parametrize("name", ["mute", "garbage", "udp garbage"])
def test_noise_and_silence_are_given_up_and_tried_again(outcomes, name) -> None:
    states = without_hiccups(outcomes[name].states, stalls=False)
    assert states == ["connecting", "live", "lost", "live"], outcomes[name].changes
    assert outcomes[name].causes <= {"silent", "garbage", "broken_off", "undecodable", "rejected"}


def test_a_wrong_password_is_told_and_not_tried_twice(outcomes) -> None:
    assert outcomes["wrong"].fatal is not None
    assert "refuses user and password" in str(outcomes["wrong"].fatal)
    assert outcomes["wrong"].fatal.cause == "unauthorized"
    assert outcomes["wrong"].health.attempts == 1
    changed = outcomes["changed"]
    assert changed.fatal is None, "it was right once: the run goes on"
    assert changed.health.failures["unauthorized"] == 1, "one attempt in half a minute"


def test_lost_packets_are_survived_and_counted(outcomes) -> None:
    outcome = outcomes["loss"]
    assert without_hiccups(outcome.states, stalls=False) == ["connecting", "live"]
    assert len(outcome.pictures) > 50
    assert outcome.health.missing > 20


def test_a_clock_that_jumps_is_not_believed(outcomes) -> None:
    outcome = outcomes["jumps"]
    assert outcome.health.jumps == 2
    spent_s = outcome.pictures[-1].at_s - outcome.pictures[0].at_s
    assert outcome.pictures[-1].t_media_s - outcome.pictures[0].t_media_s == pytest.approx(spent_s, abs=1.0)


def test_a_timestamp_that_wraps_around_is_nothing_new(outcomes) -> None:
    assert outcomes["wraps"].health.jumps == 0
    assert outcomes["wraps"].pictures[-1].t_media_s == pytest.approx(4.3, abs=1.0)


def test_another_resolution_flows_on(outcomes) -> None:
    widths = [width for width, _ in itertools.groupby(seen.width for seen in outcomes["size"].pictures)]
    assert widths[:3] == [160, 320, 160]
    assert without_hiccups(outcomes["size"].states, stalls=False) == ["connecting", "live"]


def test_a_gap_is_as_long_in_media_time_as_it_was(outcomes) -> None:
    for name in ("off", "frozen", "mute"):
        pairs = itertools.pairwise(outcomes[name].pictures)
        before, after = max(pairs, key=lambda pair: pair[1].at_s - pair[0].at_s)
        assert after.t_media_s - before.t_media_s == pytest.approx(after.at_s - before.at_s, abs=1.0)


def test_attempts_keep_their_distance(outcomes) -> None:
    """Four seconds of a camera that is off are a handful of attempts; a probe and FFmpeg connect once each."""
    assert outcomes["off"].health.attempts <= 9
    assert outcomes["404"].health.attempts <= 6
