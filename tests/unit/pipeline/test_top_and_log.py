"""`posecast top` against a real publisher, and the log in JSON."""

import io
import json
import threading

import zmq
from rich.console import Console

from pipeline.log import JsonLog
from pipeline.stages.publish import Publish
from pipeline.top import watch
from tests.viewed import health


def test_top_shows_the_stages_in_their_order() -> None:
    publish = Publish(["left", "right"], version="1")
    out = io.StringIO()
    stop = threading.Event()
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        console = Console(file=out, width=120, force_terminal=False)
        thread = threading.Thread(target=watch, args=(f"127.0.0.1:{port}", console, stop))
        thread.start()
        try:
            assert socket.poll(20_000), "it never subscribed"
            beats = (
                health("view"),
                health("encode", dropped={"newest": 3}),
                health("track", "right"),
                health("track", "left"),
            )
            while socket.poll(200):
                socket.recv()
            for beat in beats:
                topic, payload = publish.health(beat)
                socket.send_multipart((topic.encode(), payload))
            threading.Event().wait(0.6)
        finally:
            stop.set()
            thread.join()
    lines = [line.split()[0] for line in out.getvalue().splitlines() if line.strip()]
    assert lines[-4:] == ["track.left", "track.right", "encode", "view"]
    assert "3 newest" in out.getvalue()


def test_the_log_has_a_line_for_each_change() -> None:
    out = io.StringIO()
    log = JsonLog(out)
    log.write("publishing", streams=["main"])
    for beat in (
        health("encode", state="starting", note="OpenVINO is built"),
        health("encode", sent=1, note="OpenVINO"),
        health("encode", sent=2, note="OpenVINO, 2 frames"),
        health("encode", pid=2, state="starting"),
        health("encode", pid=2),
        health("encode", pid=2, state="failed", error="no weights"),
    ):
        log.health(beat)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["publishing", "starting", "running", "restarted", "running", "failed"]
    assert lines[1]["note"] == "OpenVINO is built"
    assert lines[-1]["error"] == "no weights"
    assert all(line["t_unix_s"] > 1e9 for line in lines)
