"""A real headless Chromium, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--mute-audio")
_STARTS_WITHIN_S = 60


def require_chromium() -> str:
    """Path of the browser; skip, by name, where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium (Debian: chromium)")
    return found


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future] = {}
        self._number = 0
        self.said: list[str] = []
        """Errors, warnings and refused loads that the page has caused."""
        self.asked: list[str] = []
        """Every address that it has loaded something from."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message.data)
            if "id" in answer:
                self._answers.pop(answer["id"]).set_result(answer)
            elif answer["method"] == "Runtime.exceptionThrown":
                self.said.append(json.dumps(answer["params"]["exceptionDetails"])[:2000])
            elif answer["method"] == "Log.entryAdded" and answer["params"]["entry"]["level"] in ("error", "warning"):
                self.said.append(answer["params"]["entry"]["text"])
            elif answer["method"] == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])

    async def do(self, method: str, **parameters: object) -> dict:
        """A command of the protocol; its result."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        result = await asyncio.wait_for(answer, 60)
        assert "error" not in result, result
        return result["result"]

    async def evaluate(self, expression: str) -> object:
        """Value of a JavaScript expression in the page."""
        answer = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, patience_s: float = 60) -> object:
        """The value of an expression once it is true."""
        deadline = time.monotonic() + patience_s
        while True:
            value = await self.evaluate(expression)
            if value:
                return value
            assert time.monotonic() < deadline, f"never became true: {expression}; the page said {self.said}"
            await asyncio.sleep(0.1)

    async def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Look at it on a screen of that size."""
        scale = 2 if phone else 1
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.do("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path, *, quality: int = 90, whole: bool = False) -> None:
        """What is to be seen, as JPEG."""
        shot = await self.do("Page.captureScreenshot", format="jpeg", quality=quality, captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def browsing(url: str, profile: Path) -> AsyncIterator[Page]:
    """A page at `url`, opened as soon as somebody serves there; the browser is gone when the block is left."""
    command = [require_chromium(), *_FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as browser:
        try:
            port = await asyncio.to_thread(_port, browser)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = [one for one in await answer.json() if one["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.do(f"{domain}.enable")
                    await page.size(1440, 900)
                    await _served(session, url)
                    await page.do("Page.navigate", url=url)
                    await page.until("location.href !== 'about:blank' && document.readyState === 'complete'")
                    yield page
        finally:
            browser.kill()


async def _served(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until somebody answers there."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get(url):
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"nobody serves {url}")


def _port(browser: subprocess.Popen) -> int:
    """The port that the browser tells it listens on."""
    assert browser.stderr is not None
    deadline = time.monotonic() + _STARTS_WITHIN_S
    for line in browser.stderr:
        found = re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            return int(found[1])
        assert time.monotonic() < deadline, "the browser does not listen"
    raise AssertionError("the browser ended")
