"""A process of the run: builds the stages that share it and runs each in its loop. Started by the supervisor alone.

python -m pipeline.worker RUN_DIR PROCESS
"""

import contextlib
import ctypes
import importlib
import os
import shutil
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import zmq

from engines.errors import EngineError
from pipeline.bus import LIVE_QUEUE, REPLAY_QUEUE, Inbox, Outbox, PublicSocket, endpoint
from pipeline.config import Config
from pipeline.errors import PosecastError
from pipeline.runner import Inlet, Outlet, PublicOutlet, Pulse, Relay, Runner
from pipeline.stage import Computation, Host, ring_path
from pipeline.topology import STAGES, Stage, reader_of

SUPERVISOR: Final = "supervisor"
CRASHED: Final = 70
_PR_SET_PDEATHSIG: Final = 1
_SWITCH_S: Final = 0.0002
"""How long a thread may hold the interpreter while another waits: the default of 5 ms delays capture's messages."""


class Order(msgspec.Struct, frozen=True):
    """What a process is told: the settings, the source, and whose child it is."""

    config: Config
    uri: str
    supervisor_pid: int

    def write(self, run_dir: Path) -> None:
        """Leave the order in the run's folder, readable by its owner only: the source may carry a password."""
        path = run_dir / "order"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, run_dir: Path) -> "Order":
        """The order in the run's folder."""
        return msgspec.msgpack.decode((run_dir / "order").read_bytes(), type=cls)


class Worker:
    """The stages of one process, a thread each when they are several."""

    def __init__(self, run_dir: Path, order: Order, rows: list[Stage]) -> None:
        self._run_dir = run_dir
        self._order = order
        self._rows = rows
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._codes: list[int] = []
        self._ended = False
        self.stop = threading.Event()

    def run(self) -> int:
        """Run the stages to their end; the highest exit code of them."""
        threads = [threading.Thread(target=self._run_stage, args=(row,), name=row.name) for row in self._rows[1:]]
        for thread in threads:
            thread.start()
        self._run_stage(self._rows[0])
        for thread in threads:
            thread.join()
        self._context.destroy(linger=None if self._ended else 0)
        return max(self._codes)

    def _run_stage(self, row: Stage) -> None:
        control = Outbox(self._context, endpoint(self._run_dir, SUPERVISOR), queue=64, blocking=False)
        pulse = Pulse(row.name, self._order.config.stream, control)
        try:
            self._loop(row, pulse)
            self._codes.append(0)
        except (PosecastError, EngineError) as error:
            self._fail(pulse, str(error), getattr(error, "exit_code", 2))
        except Exception as error:
            traceback.print_exc()
            self._fail(pulse, f"{type(error).__name__}: {error}", CRASHED)
        finally:
            control.close()

    def _fail(self, pulse: Pulse, error: str, exit_code: int) -> None:
        pulse.beat(Counter(), state="failed", error=error, exit_code=exit_code)
        self._codes.append(exit_code)
        self.stop.set()

    def _loop(self, row: Stage, pulse: Pulse) -> None:
        with contextlib.ExitStack() as stack:
            inlet, computation = self._inlet(row, stack)
            outlet = self._outlet(row, stack)
            self._ended = Runner(row.name, computation, inlet, outlet, pulse, self.stop).run()

    def _inlet(self, row: Stage, stack: contextlib.ExitStack) -> tuple[Inlet, Computation]:
        config = self._order.config
        if row.reads is None:
            # Here and below: decoder and OpenCV take a fifth of a second to load, and one process needs them.
            from pipeline.feed import SourceInlet

            feed = SourceInlet(config, self._order.uri, ring_path(self._run_dir), self.stop)
            stack.callback(feed.close)
            return feed, feed.computation
        live = config.policy == "live"
        inbox = Inbox(
            self._context,
            endpoint(self._run_dir, row.name),
            queue=LIVE_QUEUE if live else REPLAY_QUEUE,
            newest=live and row.queue == "newest",
        )
        stack.callback(inbox.close)
        if reader_of(row) is None:
            return inbox, Relay()
        build: Callable[[Host], Computation] = importlib.import_module(row.module).build
        return inbox, build(Host(config, self._run_dir, os.cpu_count() or 1))

    def _outlet(self, row: Stage, stack: contextlib.ExitStack) -> Outlet:
        config = self._order.config
        live = config.policy == "live"
        reader = reader_of(row)
        if reader is None:
            queue = config.publish.subscriber_queue if live else 0
            socket = PublicSocket(self._context, config.publish.endpoint, queue=queue, lossless=not live)
            stack.callback(socket.close)
            from pipeline.stages.publish import Publish

            return PublicOutlet(Publish(config), socket)
        address = endpoint(self._run_dir, reader.name)
        outbox = Outbox(self._context, address, queue=LIVE_QUEUE if live else REPLAY_QUEUE, blocking=not live)
        stack.callback(outbox.close)
        return outbox


def _die_with(supervisor_pid: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor dies; leave at once if it already has."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor_pid:
        sys.exit(0)


def main() -> int:
    """Run the process named on the command line; its exit code."""
    run_dir, process = Path(sys.argv[1]), sys.argv[2]
    order = Order.read(run_dir)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # read when a stage loads it
    sys.setswitchinterval(_SWITCH_S)
    rows = [row for row in STAGES if order.config.processes[row.name] == process]
    worker = Worker(run_dir, order, rows)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())
    _die_with(order.supervisor_pid)
    code = worker.run()
    if os.getppid() != order.supervisor_pid:
        shutil.rmtree(run_dir, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
