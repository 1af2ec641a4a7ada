"""A network between a camera and who looks at it that can be made to fail: TCP, and the UDP that RTSP agrees on.

It stands before a real server on loopback. What it does can be changed at any time, from any thread.
"""

import contextlib
import os
import random
import re
import select
import socket
import threading
from typing import Literal, Self

Mode = Literal["pass", "freeze", "silent", "garbage"]
"""pass: as if it were not there; freeze: nothing goes through, but TCP keeps it; silent: accepts and never answers;
garbage: noise instead of what the server says."""

_CHUNK = 65536
_TURN_S = 0.02
_CLIENT_PORTS = re.compile(rb"client_port=(\d+)-(\d+)")
_SERVER_PORTS = re.compile(rb"server_port=(\d+)-(\d+)")


class Proxy:
    """Listens on a port of its own while `present`.

    Of UDP: `loss` is the share of packets that never arrive, `shift` is added to RTP timestamps, and while `keyless` no
    packet of an H.264 key frame gets through.
    """

    def __init__(self, target_port: int, present: bool = True) -> None:
        self.target_port = target_port
        self.mode: Mode = "pass"
        self.loss = 0.0
        self.shift = 0
        self.keyless = False
        self.accepted = 0
        self._chance = random.Random(7)
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._closed = False
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        if present:
            self.appear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.vanish()

    def appear(self) -> None:
        """From now on connections are accepted."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def vanish(self) -> None:
        """As if the camera were switched off: connections are cut, new ones refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """All connections that there are break off."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            self._close(connection)

    def _close(self, *connections: socket.socket) -> None:
        for connection in connections:
            self._open.discard(connection)
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, until either side or the proxy ends it."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._close, client)
            try:
                self._relay(client, stack)
            except (OSError, ValueError):  # cut in the middle of waiting: a closed socket has no number
                return

    def _relay(self, client: socket.socket, stack: contextlib.ExitStack) -> None:
        if self.mode == "silent":
            while self.mode == "silent" and client in self._open:
                threading.Event().wait(_TURN_S)
            return  # what was not answered then is not answered later
        server = socket.create_connection(("127.0.0.1", self.target_port), 5)
        self._open.add(server)
        stack.callback(self._close, server)
        media = Media(self)
        stack.callback(media.close)
        while True:
            if self.mode in ("freeze", "silent"):
                threading.Event().wait(_TURN_S)
                if client not in self._open:
                    return
                continue
            ready, _, _ = select.select([client, server, *media.sockets], [], [], _TURN_S)
            for one in ready:
                if one in media.sockets:
                    media.pass_on(one)
                    continue
                data = one.recv(_CHUNK)
                if not data:
                    return
                if one is client:
                    server.sendall(media.asked(data))
                else:
                    client.sendall(os.urandom(len(data)) if self.mode == "garbage" else media.answered(data))

    def lose(self) -> bool:
        """Whether the next packet gets lost."""
        return self._chance.random() < self.loss


class Media:
    """The two UDP ports, of RTP and RTCP, that a connection may agree on: both sides are told the proxy's."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.sockets: list[socket.socket] = []
        self._client: list[int] = []
        self._server: list[int] = []

    def asked(self, data: bytes) -> bytes:
        """What the client says, with the proxy's ports for its own."""
        found = _CLIENT_PORTS.search(data)
        if not found:
            return data
        self._client = [int(port) for port in found.groups()]
        for _ in range(2 - len(self.sockets)):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind(("127.0.0.1", 0))
            self.sockets.append(one)
        return _CLIENT_PORTS.sub(self._ports("client"), data)

    def answered(self, data: bytes) -> bytes:
        """What the server says, with the proxy's ports for its own and the client's as it knows them."""
        found = _SERVER_PORTS.search(data)
        if not found or not self.sockets:
            return data
        self._server = [int(port) for port in found.groups()]
        asked = b"client_port=%d-%d" % tuple(self._client)
        return _CLIENT_PORTS.sub(asked, _SERVER_PORTS.sub(self._ports("server"), data))

    def _ports(self, side: str) -> bytes:
        ports = "-".join(str(one.getsockname()[1]) for one in self.sockets)
        return f"{side}_port={ports}".encode()

    def pass_on(self, one: socket.socket) -> None:
        """A packet from either side to the other, if it is not lost."""
        data, (_, port) = one.recvfrom(_CHUNK)
        at = self.sockets.index(one)
        if port not in self._server:
            if self._server:
                one.sendto(data, ("127.0.0.1", self._server[at]))
            return
        if self._client and not self._proxy.lose() and not (self._proxy.keyless and _of_a_key(data)):
            if at == 0 and self._proxy.shift:
                stamp = (int.from_bytes(data[4:8]) + self._proxy.shift) % 2**32
                data = data[:4] + stamp.to_bytes(4) + data[8:]
            noise = self._proxy.mode == "garbage"
            one.sendto(os.urandom(len(data)) if noise else data, ("127.0.0.1", self._client[at]))

    def close(self) -> None:
        """Let go of the ports."""
        for one in self.sockets:
            one.close()


def _of_a_key(rtp: bytes) -> bool:
    """Whether an RTP packet of H.264 (RFC 6184) holds parameters or a part of a key frame."""
    kind = rtp[12] & 31
    if kind == 28 and len(rtp) > 13:  # a fragment: its kind is in the next byte
        kind = rtp[13] & 31
    return kind in (5, 7, 8, 24)
