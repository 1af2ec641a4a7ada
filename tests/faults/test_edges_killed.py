"""Edges may crash, hang or never start: each is restarted or given up, and the poses come as if there were none."""

import os
import signal
import threading
import time
from itertools import pairwise

import msgspec
import pytest

from pipeline import config
from pipeline.messages import Event, Health, PoseFrame, decode_public
from pipeline.run_dir import new_run_dir
from pipeline.subscribe import Subscription
from pipeline.supervisor import Supervisor
from tests.edges import BROKEN, FILE, NOTES, PICTURES, read_notes
from tests.media import film
from tests.posecast import left_behind, require_weights

pytestmark = pytest.mark.slow

SECONDS = 10
RATE_HZ = 25
LONGEST_GAP_S = 2.0
"""Between two poses at 25 frames a second; a stage that was restarted takes longer."""


class Listener:
    """What a subscriber hears of a run, and when."""

    def __init__(self, endpoint: str) -> None:
        self.frames: list[int] = []
        self.at: list[float] = []
        self.edges: list[Health] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._listen, args=(endpoint,))

    def _listen(self, endpoint: str) -> None:
        with Subscription(endpoint, ("pose/", "health/"), stop=self.stop) as subscription:
            for message in subscription:
                if isinstance(message, PoseFrame) and message.revision == "provisional":
                    self.frames.append(message.seq)
                    self.at.append(time.monotonic())
                elif isinstance(message, Health) and message.stage in ("notes", "broken", "pictures", "stopped"):
                    self.edges.append(message)


def test_edges_die_hang_and_are_given_up_and_the_poses_go_on(tmp_path, monkeypatch) -> None:
    require_weights()
    monkeypatch.setenv(FILE, str(tmp_path / "notes"))
    stopped = msgspec.convert({**msgspec.to_builtins(PICTURES), "name": "stopped", "silence_s": 60}, type(PICTURES))
    pictures = film(tmp_path / "film.mp4", SECONDS * RATE_HZ, options={"preset": "ultrafast"})
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/public.sock"
    settings = config.from_mapping(
        {"source": {"paced": True}, "publish": {"endpoint": endpoint}, "smooth": {"refined": 4}}, "test"
    )
    listener = Listener(endpoint)
    lines: list[str] = []
    done: dict[str, int] = {}

    def harm(health: Health) -> None:
        """Kill one edge and stop another when poses flow."""
        pids = supervisor.pids()
        if len(listener.frames) > 2 * RATE_HZ and not done:
            done.update(killed=pids["notes"], stopped=pids["stopped"])
            os.kill(done["killed"], signal.SIGKILL)
            os.kill(done["stopped"], signal.SIGSTOP)

    supervisor = Supervisor(
        settings,
        str(pictures),
        harm,
        listener.thread.start,
        run_dir,
        lines.append,
        edges=(NOTES, BROKEN, PICTURES, stopped),
    )
    try:
        outcome = supervisor.run()
        over = time.monotonic()
    finally:
        listener.stop.set()
        listener.thread.join()
    assert done, "poses flowed"
    assert supervisor.pids()["notes"] != done["killed"]
    assert supervisor.pids()["stopped"] == done["stopped"]
    assert outcome.restarts["notes"] == 1
    assert outcome.restarts["broken"] == 5
    given_up, unfinished = lines
    assert given_up.startswith("broken is given up, the poses go on: ")
    assert "more than 5 times" in given_up
    assert "broken on purpose" in given_up
    assert unfinished == "stopped did not finish: ended with SIGKILL"
    assert (outcome.exit_code, outcome.error) == (3, "")
    assert all(outcome.restarts[row] == 0 for row in ("capture", "track", "encode", "decode", "smooth", "publish"))
    assert listener.frames[-1] == SECONDS * RATE_HZ - 1
    assert len(listener.frames) > 5 * SECONDS
    assert max(after - before for before, after in pairwise(listener.at)) < LONGEST_GAP_S
    assert over - listener.at[-1] < 8
    seen = max((beat.received for beat in listener.edges if beat.stage == "pictures"), default=0)
    assert seen > 5 * SECONDS
    assert "pictures, brightness" in outcome.health["pictures"].note
    written, closed = read_notes((tmp_path / "notes").read_bytes())
    messages = [decode_public(data) for _, data in written]
    heard = {pose.seq for pose in messages if isinstance(pose, PoseFrame) and pose.revision == "provisional"}
    assert len(set(listener.frames) - heard) < RATE_HZ / 2, "only what the killed one was being handed is lost"
    events = [message for message in messages if isinstance(message, Event)]
    assert "stream_ended" in [event.kind for event in events]
    assert closed >= 1
    assert left_behind([*supervisor.pids().values(), *done.values()]) == []
