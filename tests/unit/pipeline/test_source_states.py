"""The states of a live source, by the clock of the test."""

import pytest

from pipeline.sources.states import Change, Patience, States, pause_s

PATIENCE = Patience(stall_s=0.8, lost_s=2.0, start_s=12.0)


def connected(now_s: float = 0.0) -> States:
    states = States(PATIENCE, now_s)
    assert states.next(now_s) == "connect"
    states.connecting(now_s)
    states.picture(now_s + 0.5)
    states.changes()
    return states


def told(states: States) -> list[str]:
    return [change.state for change in states.changes()]


def test_it_begins_with_connecting_and_is_live_with_the_first_picture() -> None:
    states = States(PATIENCE, 10.0)
    assert states.changes() == [Change("connecting", None, "")]
    assert states.next(10.0) == "connect"
    states.connecting(10.0)
    assert states.next(11.0) == "wait"
    states.picture(11.5)
    assert told(states) == ["live"]
    assert states.changes() == []


def test_an_absent_camera_is_tried_again_and_told_once() -> None:
    states = States(PATIENCE, 0.0)
    now_s = 0.0
    for _ in range(20):
        assert states.next(now_s) == "connect"
        states.connecting(now_s)
        states.failed("refused", "refused", now_s, 0.5)
        assert states.next(now_s) == "wait"
        now_s = states.due_s
    assert told(states) == ["connecting", "connecting"]
    assert (states.attempts, states.failures["refused"], states.reconnects) == (20, 20, 0)
    assert 10 < now_s < 22, "pauses grow to a second"


def test_a_picture_overdue_is_a_stall_and_silence_a_loss() -> None:
    states = connected()
    assert states.next(1.2) == "wait"
    assert told(states) == []
    assert states.next(1.4) == "wait"
    assert told(states) == ["stalled"]
    assert states.next(2.4) == "wait"
    assert states.next(2.6) == "drop"
    states.failed("silent", "no answer", 2.6, 0.5)
    assert told(states) == ["lost"]
    states.connecting(3.0)
    states.picture(3.5)
    assert told(states) == ["live"]
    assert (states.stalls, states.reconnects) == (1, 1)


def test_packets_without_pictures_are_waited_for_as_long_as_key_frames_may_be_apart() -> None:
    states = connected()
    for tenth in range(6, 125):
        states.heard(tenth / 10)
        assert states.next(tenth / 10) == "wait"
    states.heard(12.6)
    assert states.next(12.6) == "drop"


def test_an_attempt_that_shows_nothing_is_dropped() -> None:
    states = States(PATIENCE, 0.0)
    states.connecting(0.0)
    assert states.next(11.9) == "wait"
    assert states.next(12.1) == "drop"


@pytest.mark.parametrize("cause", ["unauthorized", "unsupported", "shape"])
def test_what_only_the_user_can_mend_ends_it_unless_it_was_well_before(cause) -> None:
    states = States(PATIENCE, 0.0)
    states.connecting(0.0)
    states.failed(cause, "no", 0.1, 0.5)
    assert states.next(100.0) == "give_up"
    states = connected()
    states.failed(cause, "no", 1.0, 0.5)
    assert states.next(1.1) == "wait"
    assert states.next(40.0) == "connect"


def test_a_refused_password_is_not_tried_again_for_half_a_minute() -> None:
    assert pause_s("unauthorized", 1, 0.5) == 30.0
    assert pause_s("refused", 1, 0.5) == pytest.approx(0.2)
    assert pause_s("refused", 9, 0.5) == 1.0


def test_what_an_attempt_took_is_part_of_the_pause() -> None:
    states = connected()
    for _ in range(5):
        states.failed("silent", "", 10.0, 0.5)
    states.connecting(20.0)
    states.failed("silent", "", 22.0, 0.0)
    assert states.due_s == pytest.approx(22.2)


def test_a_connection_that_held_lets_the_pauses_begin_anew() -> None:
    states = connected()
    for _ in range(6):
        states.failed("broken_off", "", 1.0, 0.5)
        states.connecting(1.0)
    states.picture(1.5)
    states.picture(7.0)
    states.failed("broken_off", "", 7.1, 0.5)
    assert states.due_s == pytest.approx(7.1 + 0.2, abs=0.03)


def test_ended_is_for_good() -> None:
    states = connected()
    states.ended(1.0)
    states.failed("refused", "", 2.0, 0.5)
    states.picture(3.0)
    assert told(states) == ["ended"]
    assert states.next(100.0) == "wait"
