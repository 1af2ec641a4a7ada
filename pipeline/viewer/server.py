"""The web server of a run: page, pictures and poses over a WebSocket, metrics and health. A thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from aiohttp import WSMsgType, web
from prometheus_client import CONTENT_TYPE_LATEST

from pipeline.config import ViewSettings
from pipeline.errors import EndpointError
from pipeline.viewer.access import COOKIE, Address, Gate, tls_of
from pipeline.viewer.browsers import Browsers
from pipeline.viewer.gauges import Gauges
from pipeline.viewer.mailbox import Mailbox

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Of every answer: the page loads from here alone, and nobody puts it into a page of theirs."""
KINDS: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MOST_BROWSERS: Final = 16
_STOP_S: Final = 1.0
_LISTENS_WITHIN_S: Final = 10.0
_LARGEST_QUESTION: Final = 256
"""Bytes of what a page says: that it has seen a picture."""


class Server:
    """Serves until it is stopped."""

    def __init__(self, settings: ViewSettings, address: Address, browsers: Browsers, gauges: Gauges) -> None:
        self.address = address
        self._tls = tls_of(settings)
        self._gate = Gate(settings.token, address)
        self._browsers = browsers
        self._gauges = gauges
        self._files = _static()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._listens = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def start(self) -> None:
        """Listen. Raises EndpointError."""
        self._thread.start()
        self._listens.wait(_LISTENS_WITHIN_S)
        if self._error is not None:
            raise EndpointError(f"view.address {self.address.url}: cannot be served ({self._error.strerror})")

    def stop(self) -> None:
        """Tell the browsers, and let go of the port."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(2 * _STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._listens.set()
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/ws", self._watch)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/{name:[a-z0-9.-]*}", self._file)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.address.host, self.address.port, ssl_context=self._tls)
            await site.start()
            self._listens.set()
            await self._over.wait()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        query = request.query.get("token", "")
        refusal = self._gate.refuses(request.host, request.headers, request.cookies, query)
        if refusal:
            return web.Response(status=403, text=f"{refusal}\n", headers=HEADERS)
        if request.path == "/" and self._gate.opens(query):
            # The token goes from the address, where it would be seen, into a cookie that no script reads.
            moved = web.Response(status=303, headers={**HEADERS, "Location": "/"})
            moved.set_cookie(COOKIE, query, httponly=True, secure=self.address.tls, samesite="Strict")
            return moved
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _file(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info["name"] or "index.html")
        if found is None:
            return web.Response(status=404, text="not here\n")
        kind, data = found
        return web.Response(body=data, content_type=kind, charset="utf-8")

    async def _metrics(self, request: web.Request) -> web.Response:
        body = self._gauges.text(self._browsers.count, self._browsers.dropped)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, request: web.Request) -> web.Response:
        well, report = self._gauges.hearts.report()
        return web.json_response(report, status=200 if well else 503)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if self._browsers.count >= _MOST_BROWSERS:
            return web.Response(status=503, text=f"{_MOST_BROWSERS} browsers look already\n")
        socket = web.WebSocketResponse(heartbeat=10, compress=False, max_msg_size=_LARGEST_QUESTION)
        await socket.prepare(request)
        woken = asyncio.Event()
        mailbox = self._browsers.join(request.query.get("stream", ""), self._waker(woken))
        woken.set()  # the greeting waits
        sending = asyncio.create_task(self._send(socket, mailbox, woken))
        closing = asyncio.create_task(self._close_when_over(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and message.data == "seen":
                    mailbox.seen()
        finally:
            self._browsers.leave(mailbox)
            sending.cancel()
            closing.cancel()
        return socket

    def _waker(self, woken: asyncio.Event) -> "_Waker":
        return _Waker(self._loop, woken)

    async def _send(self, socket: web.WebSocketResponse, mailbox: Mailbox, woken: asyncio.Event) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await woken.wait()
                woken.clear()
                while items := mailbox.take():
                    for item in items:
                        # Waits where the browser does not read; the mailbox drops meanwhile.
                        await (socket.send_str(item) if isinstance(item, str) else socket.send_bytes(item))

    async def _close_when_over(self, socket: web.WebSocketResponse) -> None:
        await self._over.wait()
        with contextlib.suppress(ConnectionError, RuntimeError):
            await asyncio.wait_for(socket.close(code=1001, message=b"the run is over"), _STOP_S)


class _Waker:
    """Wakes a task of the server from any thread, once until it has woken: nothing piles up in its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
        self._loop = loop
        self._woken = woken

    def __call__(self) -> None:
        if not self._woken.is_set():
            with contextlib.suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._woken.set)


def _static() -> dict[str, tuple[str, bytes]]:
    """The page's files by name: kind and content."""
    found = {}
    for file in files("pipeline.viewer").joinpath("static").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            found[file.name] = (kind, file.read_bytes())
    return found
