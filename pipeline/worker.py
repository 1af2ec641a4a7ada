"""A process of the run: builds the stages that share it and runs each in its loop. Started by the supervisor alone.

python -m pipeline.worker RUN_DIR PROCESS
"""

import contextlib
import ctypes
import gc
import importlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from calibration.errors import CalibrationError
from engines.errors import EngineError
from pipeline.address import veiled
from pipeline.bus import LIVE_QUEUE, REPLAY_QUEUE, Inbox, Outbox, PublicSocket, endpoint
from pipeline.config import Config
from pipeline.errors import PosecastError
from pipeline.runner import Inlet, Outlet, PublicOutlet, Pulse, Relay, Runner
from pipeline.stage import Computation, Host, ring_path
from pipeline.stopping import Stop
from pipeline.streams import Stream
from pipeline.topology import Layout, Node

if TYPE_CHECKING:
    from pipeline.feed import SourceInlet
    from pipeline.live_feed import LiveInlet

SUPERVISOR: Final = "supervisor"
CRASHED: Final = 70
_PR_SET_PDEATHSIG: Final = 1
_TURN_S: Final = 0.02
_SWITCH_S: Final = 0.0002
"""How long a thread may hold the interpreter while another waits: the default of 5 ms delays capture's messages."""


class Order(msgspec.Struct, frozen=True):
    """What a process is told: the settings, the sources, and whose child it is."""

    config: Config
    streams: tuple[Stream, ...]
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


class Worker:
    """The stages of one process, a thread each when they are several."""

    def __init__(self, run_dir: Path, order: Order, process: str) -> None:
        self._run_dir = run_dir
        self._order = order
        self._layout = order.layout
        self._nodes = [node for node in self._layout.nodes if node.process == process]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._codes: list[int] = []
        self._ended = False
        self._building = threading.Lock()
        self._unbuilt = {node.name for node in self._nodes if node.row.reads is not None}
        self.stop = Stop()

    def run(self) -> int:
        """Run the stages to their end; the highest exit code of them."""
        threads = [threading.Thread(target=self._run_node, args=(node,), name=node.name) for node in self._nodes[1:]]
        for thread in threads:
            thread.start()
        self._run_node(self._nodes[0])
        for thread in threads:
            thread.join()
        self._context.destroy(linger=None if self._ended else 0)
        return max(self._codes)

    def _run_node(self, node: Node) -> None:
        control = Outbox(self._context, endpoint(self._run_dir, SUPERVISOR), queue=64, blocking=False)
        pulse = Pulse(node, control)
        try:
            self._loop(node, pulse)
            self._codes.append(0)
        except (PosecastError, EngineError, CalibrationError) as error:
            self._fail(pulse, str(error), getattr(error, "exit_code", 2))
        except Exception as error:
            uris = [stream.uri for stream in self._order.streams]  # what a library says may hold an address
            print(veiled(traceback.format_exc(), uris), file=sys.stderr, end="")
            self._fail(pulse, veiled(f"{type(error).__name__}: {error}", uris), CRASHED)
        finally:
            control.close()

    def _fail(self, pulse: Pulse, error: str, exit_code: int) -> None:
        pulse.beat(Counter(), state="failed", error=error, exit_code=exit_code)
        self._codes.append(exit_code)
        self.stop.set()

    def _loop(self, node: Node, pulse: Pulse) -> None:
        with contextlib.ExitStack() as stack:
            inlet, computation = self._built(node, stack, pulse)
            outlet = self._outlet(node, stack)
            gc.freeze()  # what was loaded stays: to search it for garbage again and again takes a frame's time
            self._ended = Runner(node, computation, inlet, outlet, pulse, self.stop).run()

    def _built(self, node: Node, stack: contextlib.ExitStack, pulse: Pulse) -> tuple[Inlet, Computation]:
        """One after the other, capture last: what stages load is not made to be loaded by several threads at once, and
        no picture may flow before all are ready for it."""
        while node.row.reads is None and self._unbuilt and not self.stop.is_set():
            time.sleep(_TURN_S)
        with self._building:
            made = self._inlet(node, stack, pulse)
            self._unbuilt.discard(node.name)
            return made

    def _inlet(self, node: Node, stack: contextlib.ExitStack, pulse: Pulse) -> tuple[Inlet, Computation]:
        # What is of one stream alone knows the settings under that stream's name.
        config = msgspec.structs.replace(self._order.config, stream=node.stream or self._order.config.stream)
        if node.row.reads is None:
            feed = self._feed(config, node.stream)
            stack.callback(feed.close)
            return feed, feed.computation
        newest = config.policy == "live" and node.row.queue == "newest"
        inbox = Inbox(self._context, endpoint(self._run_dir, node.name), queue=self._queue(node), newest=newest)
        stack.callback(inbox.close)
        if self._layout.reader(node) is None:
            return inbox, Relay()
        build: Callable[[Host], Computation] = importlib.import_module(node.row.module).build
        computation = build(self._host(node, config, pulse))
        inbox.gather(computation.batch, config.batch.wait_ms * 1e-3)
        return inbox, computation

    def _feed(self, config: Config, stream: str) -> "LiveInlet | SourceInlet":
        # Here and above: decoder and OpenCV take a fifth of a second to load, and one process needs them.
        from pipeline.address import never_ends
        from pipeline.feed import SourceInlet
        from pipeline.live_feed import LiveInlet

        uri = next(one.uri for one in self._order.streams if one.name == stream)
        ring = ring_path(self._run_dir, stream)
        if config.policy == "live" and never_ends(uri, paced=config.source.paced):
            return LiveInlet(config, uri, ring)
        return SourceInlet(config, uri, ring, self.stop)

    def _host(self, node: Node, config: Config, pulse: Pulse) -> Host:
        return Host.of(
            node.row,
            config,
            self._run_dir,
            len(node.streams),
            spent=pulse.spent,
            say=lambda text: pulse.beat(Counter(), text, state="starting"),
        )

    def _outlet(self, node: Node, stack: contextlib.ExitStack) -> Outlet:
        config = self._order.config
        live = config.policy == "live"
        reader = self._layout.reader(node)
        if reader is None:
            queue = config.publish.subscriber_queue if live else 0
            socket = PublicSocket(self._context, config.publish.endpoint, queue=queue, lossless=not live)
            stack.callback(socket.close)
            from pipeline.stages.publish import Publish

            return PublicOutlet(Publish(node.streams), socket)
        address = endpoint(self._run_dir, reader.name)
        outbox = Outbox(self._context, address, queue=self._queue(node), blocking=not live)
        # Told to stop in the middle: who would read it is being stopped too.
        stack.callback(lambda: outbox.close(discard=not self._ended))
        return outbox

    def _queue(self, node: Node) -> int:
        """Messages that may wait on the way from or to a node: as few as for one stream, or all would be late."""
        least = LIVE_QUEUE if self._order.config.policy == "live" else REPLAY_QUEUE
        return max(least, 2 * len(node.streams))


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
    worker = Worker(run_dir, order, process)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())
    _die_with(order.supervisor_pid)
    code = worker.run()
    if os.getppid() != order.supervisor_pid:
        shutil.rmtree(run_dir, ignore_errors=True)
    if any(thread.daemon for thread in threading.enumerate()):
        # A reader that hangs in a library must not find the interpreter gone when it comes back.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
