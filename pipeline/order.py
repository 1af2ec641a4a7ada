"""What a process of a run is told by its supervisor: settings, sources, edges, and whose child it is."""

import os
from pathlib import Path
from typing import Final

import msgspec

from pipeline.config import Config
from pipeline.streams import Stream
from pipeline.topology import Edge, Layout

SUPERVISOR: Final = "supervisor"
"""Name of the supervisor's inbox."""


class Order(msgspec.Struct, frozen=True):
    """What a process is told."""

    config: Config
    streams: tuple[Stream, ...]
    edges: tuple[Edge, ...]
    supervisor_pid: int

    @property
    def layout(self) -> Layout:
        """The stages of the run."""
        return Layout([stream.name for stream in self.streams], self.config.processes)

    def write(self, run_dir: Path) -> None:
        """Leave the order in the run's folder, readable by its owner only: a source may carry a password."""
        path = run_dir / "order"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, run_dir: Path) -> "Order":
        """The order in the run's folder."""
        return msgspec.msgpack.decode((run_dir / "order").read_bytes(), type=cls)
