"""A process of the run: builds the stages that share it, or an edge, and runs each in its loop. Started by the
supervisor alone.

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
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from pipeline.bus import LIVE_QUEUE, REPLAY_QUEUE, Inbox, Outbox, PublicSocket, endpoint
from pipeline.config import Config
from pipeline.edge_bus import EdgeOutbox, Way, WithFrames
from pipeline.edge_runner import EdgeWorker
from pipeline.order import SUPERVISOR, Order
from pipeline.packets import Tap
from pipeline.runner import Inlet, Outlet, PublicOutlet, Pulse, Relay, Runner, guarded
from pipeline.stage import Computation, Host, ring_path
from pipeline.stopping import Stop
from pipeline.topology import Edge, Node

if TYPE_CHECKING:
    from pipeline.feed import SourceInlet
    from pipeline.live_feed import LiveInlet

_PR_SET_PDEATHSIG: Final = 1
_TURN_S: Final = 0.02
_SWITCH_S: Final = 0.0002
"""How long a thread may hold the interpreter while another waits: the default of 5 ms delays capture's messages."""


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
        self._tapes: dict[str, list[EdgeOutbox]] = {}
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
        pulse = Pulse(node.row.name, node.stream, control)
        uris = [stream.uri for stream in self._order.streams]
        code = guarded(pulse, lambda: self._loop(node, pulse), uris)
        control.close()
        self._codes.append(code)
        if code:
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
            tapes = self._tapes[node.name] = list(self._to_edges(stack, "packets").values())
            feed = self._feed(config, node.stream, Tap(node.stream, tapes) if tapes else None)
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

    def _feed(self, config: Config, stream: str, on_packet: Tap | None) -> "LiveInlet | SourceInlet":
        # Here and above: decoder and OpenCV take a fifth of a second to load, and one process needs them.
        from pipeline.address import never_ends
        from pipeline.feed import SourceInlet
        from pipeline.live_feed import LiveInlet

        uri = next(one.uri for one in self._order.streams if one.name == stream)
        ring = ring_path(self._run_dir, stream)
        if config.policy == "live" and never_ends(uri, paced=config.source.paced):
            return LiveInlet(config, uri, ring, on_packet)
        return SourceInlet(config, uri, ring, self.stop, on_packet)

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

            return PublicOutlet(Publish(node.streams), socket, self._to_edges(stack, "messages"))
        address = endpoint(self._run_dir, reader.name)
        outbox = Outbox(self._context, address, queue=self._queue(node), blocking=not live)
        # Told to stop in the middle: who would read it is being stopped too.
        stack.callback(lambda: outbox.close(discard=not self._ended))
        if node.row.reads is not None:
            return outbox
        frames = self._to_edges(stack, "frames")
        return WithFrames(outbox, [*frames.values(), *self._tapes[node.name]])

    def _to_edges(self, stack: contextlib.ExitStack, way: Way) -> dict[str, EdgeOutbox]:
        """The ways to the edges that want what goes that way."""
        wants: Callable[[Edge], bool] = {
            "messages": lambda row: True,
            "frames": lambda row: row.ring,
            "packets": lambda row: row.packets,
        }[way]
        rows = filter(wants, self._order.edges)
        outboxes = {row.name: EdgeOutbox(self._context, self._run_dir, row, way) for row in rows}
        for outbox in outboxes.values():
            stack.callback(outbox.close)
        return outboxes

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
    edge = next((row for row in order.edges if row.name == process), None)
    worker = Worker(run_dir, order, process) if edge is None else EdgeWorker(run_dir, order, edge)
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
