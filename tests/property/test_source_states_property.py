"""Whatever happens to a source: its states follow their diagram, and attempts keep their distance."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.states import FIRST_PAUSE_S, JITTER, Patience, States

CAUSES = ["refused", "silent", "broken_off", "unauthorized", "not_found", "undecodable", "unsupported"]
ALLOWED = {
    ("connecting", "connecting"),
    ("connecting", "live"),
    ("live", "stalled"),
    ("live", "lost"),
    ("stalled", "live"),
    ("stalled", "lost"),
    ("lost", "lost"),
    ("lost", "live"),
    *((state, "ended") for state in ("connecting", "live", "stalled", "lost")),
}
happenings = st.lists(
    st.tuples(
        st.sampled_from(["picture", "heard", "failed", "nothing"]),
        st.floats(0.0, 20.0),
        st.sampled_from(CAUSES),
        st.floats(0.0, 1.0),
    ),
    max_size=80,
)


@given(happenings, st.floats(0.05, 2.0), st.booleans())
def test_states_follow_their_diagram(happened, stall_s, end) -> None:
    patience = Patience(stall_s=stall_s, lost_s=2.0, start_s=12.0)
    states = States(patience, 0.0)
    now_s, attempts, changes, failed_s = 0.0, 0, [], None
    live_since_picture = 0.0
    for kind, passed_s, cause, chance in happened:
        now_s += passed_s
        action = states.next(now_s)
        if states.state == "live":
            assert now_s - live_since_picture <= stall_s, "a stall is seen at the first look after it"
        if action == "connect":
            assert failed_s is None or now_s - failed_s >= FIRST_PAUSE_S * (1 - JITTER)
            states.connecting(now_s)
            attempts += 1
        elif action == "drop":
            assert states.connected
            states.failed("silent", "", now_s, chance)
            failed_s = now_s
        elif action == "give_up":
            assert states.reconnects == 0
            break
        if states.connected and kind == "picture":
            states.picture(now_s)
            live_since_picture = now_s
            assert states.state == "live"
        elif states.connected and kind == "heard":
            states.heard(now_s)
        elif states.connected and kind == "failed":
            states.failed(cause, "", now_s, chance)
            failed_s = now_s
            assert states.state in ("connecting", "lost")
    if end:
        states.ended(now_s)
    changes = [change.state for change in states.changes()]
    assert changes[0] == "connecting"
    assert set(itertools.pairwise(changes)) <= ALLOWED
    assert states.attempts == attempts
    assert states.stalls == changes.count("stalled")
    assert sum(states.failures.values()) <= attempts
    assert states.reconnects <= max(0, changes.count("live") - 1)


@given(st.lists(st.sampled_from(CAUSES[:3]), min_size=1, max_size=30), st.floats(0.0, 1.0))
def test_somebody_who_is_not_there_is_asked_at_least_every_second_or_so(causes, chance) -> None:
    states = States(Patience(0.8, 2.0, 12.0), 0.0)
    now_s = 0.0
    for cause in causes:
        states.connecting(now_s)
        states.failed(cause, "", now_s, chance)
        assert now_s < states.due_s <= now_s + 1.0 * (1 + JITTER) + 1e-9
        now_s = states.due_s
        assert states.next(now_s) == "connect"
