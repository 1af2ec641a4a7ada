"""A recording published again, as the run published it: to develop a consumer without a camera."""

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zmq
from rich.console import Console

from pipeline.bus import PublicSocket
from pipeline.config import Publish as Settings
from pipeline.errors import EndpointError, SourceError
from pipeline.messages import End, Event, Health, Hello, PoseFrame, Public
from pipeline.recordings.reader import SUFFIX, Recording
from pipeline.stages.publish import Publish, check_endpoint

_TURN_S: Final = 0.01
_MORE_TOPICS_S: Final = 0.3
"""A subscriber asks for its topics one by one."""


def publish_again(path: Path, settings: Settings, speed: float, console: Console) -> None:
    """Publish the messages of a recording, so many times as fast as they came; begins with the first subscriber.

    With infinite speed nobody loses anything: a slow subscriber is waited for. Raises SourceError, EndpointError.
    """
    check_endpoint(settings.endpoint, settings.insecure)
    recording = Recording(path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    queue = 0 if math.isinf(speed) else settings.subscriber_queue
    try:
        socket = PublicSocket(context, settings.endpoint, queue=queue, lossless=math.isinf(speed))
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise EndpointError(f"{settings.endpoint}: cannot be bound ({error}); choose another --endpoint") from error
    console.print(
        f"publishing {path.name} on {settings.endpoint} from the first subscriber on; Ctrl-C ends", soft_wrap=True
    )
    try:
        _Again(recording, socket, speed).run()
    finally:
        socket.close()
        context.term()


def publish_all(files: Sequence[str], settings: Settings, speed: float, console: Console) -> None:
    """Publish recordings again, one after the other, until the last is over or Ctrl-C."""
    if not speed > 0:
        raise SourceError(f"--speed {speed:g}: expected more than 0; 1 is as fast as it was, inf without waiting")
    for file in files:
        if Path(file).suffix != SUFFIX:
            raise SourceError(f"{file}: only recordings ({SUFFIX}) can be published again; leave --speed out")
    with contextlib.suppress(KeyboardInterrupt):
        for file in files:
            publish_again(Path(file), settings, speed, console)


class _Again:
    def __init__(self, recording: Recording, socket: PublicSocket, speed: float) -> None:
        about = recording.about
        self._recording = recording
        self._socket = socket
        self._speed = speed
        self._open = list(about.sources)
        self._publish = Publish(self._open, about.versions.get("posecast", ""))

    def run(self) -> None:
        while not self._greet():
            time.sleep(_TURN_S)
        self._wait_until(time.monotonic() + _MORE_TOPICS_S)
        began, first_ns = time.monotonic(), None
        for recorded, message in self._recording.public():
            first_ns = recorded.t_unix_ns if first_ns is None else first_ns
            self._wait_until(began + (recorded.t_unix_ns - first_ns) * 1e-9 / self._speed)
            for topic, payload in self._routed(message):
                self._socket.send(topic, payload, self._alive)
        for stream in self._open:  # a recording that was cut off, or one of several files
            for topic, payload in self._publish.step(End(stream=stream, seq=0, t_media_ns=0, t_capture_ns=0)):
                self._socket.send(topic, payload, self._alive)

    def _routed(self, message: Public) -> list[tuple[str, bytes]]:
        match message:
            case Hello():
                return []  # each subscriber has its own
            case Health():
                return [self._publish.health(message)]
            case PoseFrame() | Event():
                return self._publish.step(message)

    def _wait_until(self, due: float) -> None:
        self._greet()
        while (left_s := due - time.monotonic()) > 0:
            time.sleep(min(left_s, _TURN_S))
            self._greet()

    def _alive(self) -> bool:
        self._greet()
        return True

    def _greet(self) -> bool:
        """Say hello to whoever is new; whether there was anybody."""
        topics = list(self._socket.subscriptions())
        for topic in topics:
            self._socket.send(*self._publish.hello(topic), lambda: True)
        return bool(topics)
