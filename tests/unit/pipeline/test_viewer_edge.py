"""The page's server as a browser meets it: over real sockets, without a run behind it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import aiohttp
import cv2
import numpy as np
import pytest

from pipeline.messages import Event
from pipeline.viewer.access import COOKIE
from pipeline.viewer.edge import View
from pipeline.viewer.mailbox import TEXTS
from tests.dives import true_dive
from tests.viewed import SIZE, Camera, health, pose, unpacked, view

TOKEN = "0123456789abcdef"


def visit(made: tuple[View, str], does: Callable[[aiohttp.ClientSession, View, str], Awaitable[None]]) -> None:
    """Let a browser do something at the page's server; the server is gone afterwards."""
    edge, url = made

    async def visiting() -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            await does(session, edge, url)

    try:
        asyncio.run(visiting())
    finally:
        edge.close()


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def told(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict:
    """The next message of a kind."""
    while True:
        message = await socket.receive(timeout=10)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        if message.type is aiohttp.WSMsgType.TEXT and (found := json.loads(message.data))["type"] == kind:
            return found


def test_a_picture_comes_behind_its_pose_and_no_other_one(tmp_path) -> None:
    camera = Camera(tmp_path)

    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        edge.frame(camera.frame(0), camera.ring)  # nobody looks
        async with session.ws_connect(f"{url}/ws") as socket:
            hello = await told(socket, "hello")
            assert (hello["streams"], hello["stream"], len(hello["joint_names"])) == (["main"], "main", 17)
            for seq in range(1, 5):
                edge.frame(camera.frame(seq), camera.ring)
            for seq in (2, 4):  # the poses of 1 and 3 were dropped on the way
                edge.take(pose(seq), seq)
            came = []
            for _ in range(4):
                message = await socket.receive(timeout=10)
                if message.type is aiohttp.WSMsgType.TEXT:
                    came.append(("pose", json.loads(message.data)["seq"]))
                    continue
                head, data = unpacked(message.data)
                shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                assert (head["width"], head["height"]) == SIZE
                assert shown.mean() == pytest.approx((20 + head["seq"] - 16) * 255 / 219, abs=2)
                came.append(("picture", head["seq"]))
            for seq in (2, 4):
                assert came.index(("pose", seq)) < came.index(("picture", seq))

    visit(view(), does)


def test_poses_are_told_in_whole_numbers(tmp_path) -> None:
    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        async with session.ws_connect(f"{url}/ws") as socket:
            await told(socket, "hello")
            edge.take(pose(3), 0)
            edge.take(pose(3, "refined"), 1)
            edge.take(pose(4, tracked=False), 2)
            first, better, nobody = [await told(socket, "pose") for _ in range(3)]
            assert first["px"][:2] == [100, 200]
            assert first["mm"][3:6] == [100, 2000, 2700]
            assert first["cov_mm2"][:6] == [10_000, 0, 0, 10_000, 0, 10_000]
            assert first["centre_mm"][1:] == [2000, 2700]
            assert first["age_ms"] >= 40
            assert (better["revision"], better["seq"]) == ("refined", 3)
            assert "mm" not in nobody
            assert not nobody.get("tracked")

    visit(view(), does)


def test_a_picture_whose_pose_does_not_come_is_shown_without(tmp_path) -> None:
    camera = Camera(tmp_path)

    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        async with session.ws_connect(f"{url}/ws") as socket:
            await told(socket, "hello")
            edge.frame(camera.frame(5), camera.ring)
            edge.idle()
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.3)
            await asyncio.sleep(1)
            edge.idle()
            head, _ = unpacked((await socket.receive(timeout=10)).data)
            assert head["seq"] == 5

    visit(view(), does)


def test_a_page_opened_later_is_told_of_the_dives_and_the_stages() -> None:
    report = true_dive("103C").report
    first, last = report.take_off_s.value, report.entry_s.value

    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        for seq in range(round(25 * (last + 3))):
            edge.take(pose(seq), seq)
        moment = {"stream": "main", "seq": 9, "t_media_ns": 0, "t_capture_ns": time.time_ns()}
        edge.take(Event(**moment, kind="dive", dive=report), 0)
        edge.take(health("track", "main"), 0)
        async with session.ws_connect(f"{url}/ws?stream=main") as socket:
            dive = await told(socket, "dive")
            assert dive["report"]["numbers"][0][0] == "103C"
            times = [one["t_ms"] / 1000 for one in dive["poses"]]
            assert times[0] == pytest.approx(first - 1, abs=0.05)
            assert times[-1] == pytest.approx(last + 0.4, abs=0.05)
            assert all(one["mm"] and "px" not in one for one in dive["poses"])
            assert (await told(socket, "health"))["stage"] == "track"

    visit(view(), does)


def test_each_browser_sees_its_camera_alone() -> None:
    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        async with session.ws_connect(f"{url}/ws?stream=right") as socket:
            assert (await told(socket, "hello"))["stream"] == "right"
            edge.take(pose(1, stream="left"), 0)
            edge.take(pose(2, stream="right"), 1)
            assert (await told(socket, "pose"))["seq"] == 2

    visit(view(("left", "right")), does)


def test_a_browser_that_does_not_read_costs_itself_alone(tmp_path) -> None:
    camera = Camera(tmp_path)

    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        async with session.ws_connect(f"{url}/ws", max_msg_size=0) as slow:
            await until(lambda: edge.note.endswith("1 browser"))
            slow._reader._protocol.pause_reading()  # a page that hangs
            longest_s = 0.0
            big = health("encode", note="x" * 20_000)
            for seq in range(3 * TEXTS):
                before = time.monotonic()
                edge.frame(camera.frame(seq), camera.ring)
                edge.take(pose(seq), seq)
                edge.take(big, seq)
                longest_s = max(longest_s, time.monotonic() - before)
            assert longest_s < 1
            assert edge.dropped["view_message"] > TEXTS
            assert edge.dropped["view_picture"] > TEXTS
            slow._reader._protocol.resume_reading()
            async with session.ws_connect(f"{url}/ws") as other:
                await told(other, "hello")
                edge.take(pose(9_999), 0)
                assert (await told(other, "pose"))["seq"] == 9_999
        await until(lambda: edge.note.endswith("0 browsers"))
        assert edge.dropped["view_message"] > TEXTS, "what was lost stays counted"

    visit(view(), does)


def test_every_answer_says_that_the_page_loads_from_here_alone() -> None:
    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        for path, status in (("/", 200), ("/main.js", 200), ("/nothing.js", 404), ("/metrics", 200), ("/healthz", 503)):
            async with session.get(url + path) as answer:
                assert answer.status == status, path
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "http" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with session.get(url + "/") as answer:
            text = await answer.text()
            assert "://" not in text, "no outside requests"
            assert "<script>" not in text
            assert "style=" not in text
        async with session.get(f"{url}/../edge.py") as answer:
            assert answer.status == 404
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            async with session.get(url + "/ws", headers=headers) as answer:
                assert answer.status == 403
                assert "Content-Security-Policy" in answer.headers

    visit(view(), does)


def test_with_a_token_nothing_is_shown_without() -> None:
    async def does(session: aiohttp.ClientSession, edge: View, url: str) -> None:
        for path in ("/", "/main.js", "/ws", "/metrics", "/healthz"):
            async with session.get(url + path) as answer:
                assert answer.status == 403
        async with session.get(url + "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200
        async with session.get(f"{url}/?token={TOKEN}", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.cookies[COOKIE]
            assert cookie["httponly"]
            assert cookie["samesite"] == "Strict"
        async with session.ws_connect(f"{url}/ws") as socket:
            assert (await told(socket, "hello"))["stream"] == "main"
        assert TOKEN not in edge.note

    visit(view(token=TOKEN), does)


def test_browsers_are_told_when_the_run_is_over() -> None:
    edge, url = view()

    async def visiting() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws") as socket:
            await told(socket, "hello")
            await asyncio.to_thread(edge.close)
            message = await socket.receive(timeout=5)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 1001

    asyncio.run(visiting())
