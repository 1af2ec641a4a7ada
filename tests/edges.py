"""Edges for tests, as small as can be: one that writes down what it takes, one that cannot be built."""

import os

from pipeline.edge import EdgeHost
from pipeline.messages import Frame, Public, encode
from pipeline.ring import Ring
from pipeline.topology import Edge

NOTES = Edge("notes", "tests.edges", False, False, 20_000, 8)
"""Writes what it takes to the file named in `NOTES_FILE`."""
PICTURES = Edge("pictures", "tests.edges", True, False, 100, 8)
"""Like it, and says in its note how many pictures it has seen and how bright the last was."""
BROKEN = Edge("broken", "tests.edges_broken", False, False, 100, 8)
FILE = "NOTES_FILE"


class Notes:
    """Appends each message as `number` in 8 bytes, length in 4, and msgpack."""

    def __init__(self) -> None:
        self.file = open(os.environ[FILE], "ab", buffering=0)  # noqa: SIM115, PTH123
        self.note = ""
        self.seen = 0

    def take(self, message: Public, number: int) -> None:
        data = encode(message)
        self.file.write(number.to_bytes(8, "little") + len(data).to_bytes(4, "little") + data)

    def frame(self, frame: Frame, ring: Ring) -> None:
        with ring.reading(frame) as picture:
            brightness = picture.planes[0].mean()
        self.seen += 1
        self.note = f"{self.seen} pictures, brightness {brightness:.0f}"

    def idle(self) -> None:
        pass

    def close(self) -> None:
        self.file.write((2**64 - 1).to_bytes(8, "little") + bytes(4))


def build(host: EdgeHost) -> Notes:
    return Notes()


def read_notes(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """What was written: messages with their numbers, and how often the edge was closed."""
    found, closed, at = [], 0, 0
    while at < len(data):
        number, size = int.from_bytes(data[at : at + 8], "little"), int.from_bytes(data[at + 8 : at + 12], "little")
        at += 12 + size
        if size:
            found.append((number, data[at - size : at]))
        else:
            closed += 1
    return found, closed
