"""From typing `posecast run` to the first pose at a subscriber, and what the time goes into.

    python benchmarks/start.py [--starts N] [--json FILE] [--markdown FILE]

Starts `posecast run samples/dive.mp4 --paced` again and again; a subscriber waits from before the start. Stages report
when their engines are ready; the stamps of the first pose say the rest. What each process imports is measured apart,
one process at a time, by `python -X importtime`.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

# Python puts this file's folder first, where `engines.py` would be taken for the package `engines`.
ROOT: Final = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

import psutil  # noqa: E402
import zmq  # noqa: E402

from benchmarks import page  # noqa: E402
from pipeline.bench import machine  # noqa: E402
from pipeline.messages import Health, PoseFrame, decode_public  # noqa: E402
from pipeline.topology import STAGES  # noqa: E402

SAMPLE: Final = ROOT / "samples" / "dive.mp4"
PATIENCE_S: Final = 90.0
BACKEND: Final = "openvino"
NAMED: Final = 0.02
"""Imports that cost less of a process's time than this many seconds are not named."""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    _started()  # builds the engines where they are not in the cache yet
    starts = [_started() for _ in range(options.starts)]
    figures = {
        "machine": machine(),
        "starts": starts,
        "median": {name: statistics.median(start[name] for start in starts) for name in starts[0]},
        "imports": {process: _imported(modules) for process, modules in _processes().items()},
    }
    page.finish(figures, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("From start to the first pose.")
    parser.add_argument("--starts", type=int, default=5, help="medians of so many starts are given")
    return page.chosen(parser)


def _started() -> dict[str, float]:
    """One start: seconds from it to the marks on the way, and processor seconds of all processes until the pose."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with tempfile.TemporaryDirectory() as folder:
        endpoint = f"ipc://{folder}/poses"
        socket = context.socket(zmq.SUB)
        socket.linger, socket.reconnect_ivl = 0, 5
        socket.subscribe(b"")
        socket.connect(endpoint)
        command = [sys.executable, "-m", "pipeline.cli", "run", str(SAMPLE), "--paced", "--endpoint", endpoint]
        before_ns = time.monotonic_ns()
        run = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            return _followed(socket, run, before_ns)
        finally:
            run.terminate()
            run.wait()
            context.destroy(linger=0)


def _followed(socket: "zmq.Socket[bytes]", run: "subprocess.Popen[bytes]", before_ns: int) -> dict[str, float]:
    """Listens until the first pose. The heartbeats of the stages come once publish itself is ready."""
    ready: dict[str, float] = {}
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and run.poll() is None:
        if not socket.poll(100):
            continue
        message = decode_public(socket.recv_multipart()[1])
        now_ns = time.monotonic_ns()
        if isinstance(message, Health) and message.state == "running":
            ready.setdefault(message.stage, (now_ns - before_ns) * 1e-9)
        if isinstance(message, PoseFrame):
            spent_s = _processor_s(run.pid)
            times = {stamp.stage: stamp for stamp in message.stamps}
            return {
                "first_pose_s": (now_ns - before_ns) * 1e-9,
                "publish_ready_s": ready.get("publish", float("nan")),
                "first_picture_s": (times["capture"].t_in_ns - before_ns) * 1e-9,
                "picture_to_pose_s": (now_ns - times["capture"].t_in_ns) * 1e-9,
                "processor_s": spent_s,
            }
    run.terminate()
    said = run.stderr.read().decode(errors="replace").strip().splitlines() if run.stderr else []
    print(f"no pose within {PATIENCE_S:.0f} s: {said[-1] if said else 'the run said nothing'}", file=sys.stderr)
    raise SystemExit(2)


def _processor_s(pid: int) -> float:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def _processes() -> dict[str, list[str]]:
    """By process what it imports before it can work: the command line, and each stage with its engine's library."""
    stages = {row.name: ["pipeline.worker", row.module] for row in STAGES}
    stages["capture"] = ["pipeline.worker", "pipeline.feed"]
    with_engine = {name: [*modules, *([BACKEND] if name in _THINKING else [])] for name, modules in stages.items()}
    return {"posecast": ["pipeline.cli", "pipeline.live"], **with_engine}


_THINKING: Final = ("track", "encode", "decode", "smooth")


def _imported(modules: list[str]) -> dict[str, Any]:
    """Processor seconds of importing these modules in a fresh process, and which packages it went into."""
    code = f"import time; {'; '.join(f'import {module}' for module in modules)}; print(time.process_time())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "check": True}
    spent = [float(subprocess.run([sys.executable, "-c", code], **arguments).stdout) for _ in range(3)]
    told = subprocess.run([sys.executable, "-X", "importtime", "-c", code], **arguments).stderr
    return {"processor_s": statistics.median(spent), "packages_s": _by_package(told)}


def _by_package(told: str) -> dict[str, float]:
    """Seconds by top-level package: the sum of what each of its modules took itself."""
    spent: dict[str, float] = {}
    for microseconds, name in _lines(told):
        package = name.partition(".")[0]
        spent[package] = spent.get(package, 0.0) + microseconds * 1e-6
    return {name: seconds for name, seconds in sorted(spent.items(), key=lambda item: -item[1]) if seconds >= NAMED}


def _lines(told: str) -> Iterator[tuple[int, str]]:
    for line in told.splitlines():
        found = re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line)
        if found:
            yield int(found.group(1)), found.group(2)


def markdown(figures: dict[str, Any]) -> str:
    """The section for the page."""
    median, starts = figures["median"], figures["starts"]
    rows = [
        ("first pose at a subscriber", median["first_pose_s"]),
        ("publish ready", median["publish_ready_s"]),
        ("first picture decoded", median["first_picture_s"]),
        ("from that picture to its pose", median["picture_to_pose_s"]),
        ("processor time of all processes until then", median["processor_s"]),
    ]
    marks = page.table(("", "s"), [(name, f"{value:.2f}") for name, value in rows])
    imports = page.table(
        ("process", "largest imports, processor s", "all imports"),
        [
            (process, _largest(found["packages_s"]), f"{found['processor_s']:.2f}")
            for process, found in figures["imports"].items()
        ],
        words=2,
    )
    head = page.facts(
        figures,
        "`posecast run samples/dive.mp4 --paced`, engines cached, from the command on",
        f"medians of {len(starts)} starts",
        f"python benchmarks/start.py --starts {len(starts)}",
    )
    return f"{head}\n{marks}\n{imports}"


def _largest(packages_s: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in list(packages_s.items())[:5])


if __name__ == "__main__":
    main()
