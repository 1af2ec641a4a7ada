"""Where the time of each stage goes, by sampling: py-spy on one stage's process after the other during a run.

    python benchmarks/profile.py [--only STAGE ...] [--flames DIR] [--json FILE] [--markdown FILE]

The chain runs live at 30 frames a second on the sample dive, several times over in one file. Only samples in which a
thread of Python was at work count; what a network does on further threads of its own is not seen. Writes a table of the
functions in which the samples ended, and a flame graph of each stage (an SVG) to `--flames`. Needs `pip install
py-spy`, and the right to look into processes: root, or `sysctl kernel.yama.ptrace_scope=0`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

import msgspec  # noqa: E402

from benchmarks import flame, page  # noqa: E402
from benchmarks.clip import repeated  # noqa: E402
from pipeline.bench import LIVE_RATE_HZ, described, machine, run_config  # noqa: E402
from pipeline.config import Config, load, shipped  # noqa: E402
from pipeline.errors import PosecastError, SourceError  # noqa: E402
from pipeline.messages import Health  # noqa: E402
from pipeline.meter import SKIPPED  # noqa: E402
from pipeline.replay import SAMPLE  # noqa: E402
from pipeline.run_dir import new_run_dir  # noqa: E402
from pipeline.supervisor import Supervisor  # noqa: E402
from pipeline.topology import STAGES  # noqa: E402

RATE_HZ = 200
REPEATS = 3
TOP = 6
OURS = ("pipeline/", "engines/", "calibration/")
NETWORK = "CheckedSession.run (engines/session.py)"
"""The frame above which a network is at work."""
WAITS = (
    "Condition.wait (threading.py)",
    "Poller.poll (zmq/sugar/poll.py)",
    "Inbox.receive (pipeline/bus.py)",
    "wait (pipeline/sources/source.py)",
)
"""A stack that ends so waits for something; that it has come, but not yet a core, looks like work to the sampler."""


def main() -> None:
    """Measure and write."""
    options = _options()
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if sampler is None:
        page.refuse("py-spy is not installed; pip install py-spy")
        return
    options.flames.mkdir(parents=True, exist_ok=True)
    stages = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = repeated(SAMPLE, REPEATS, Path(folder) / SAMPLE.name)
        config = run_config(load(shipped("live")), str(clip), LIVE_RATE_HZ)
        for row in STAGES:
            if not options.only or row.name in options.only:
                stacks = _sampled(sampler, config, str(clip), row.name, Path(folder) / "stacks")
                stages[row.name] = summary(stacks)
                title = f"posecast {row.name}, live at {LIVE_RATE_HZ:.0f} frames a second"
                page.write(options.flames / f"{row.name}.svg", flame.svg(stacks, title))
                print(f"{row.name}: {stages[row.name]['samples']} samples", file=sys.stderr, flush=True)
        data = f"{described(config, str(clip))}, {REPEATS} times over, live at {LIVE_RATE_HZ:.0f} frames/s"
    figures = {"machine": machine(), "source": data, "rate_hz": RATE_HZ, "stages": stages}
    page.finish(figures, markdown, options)


def _options() -> argparse.Namespace:
    parser = page.arguments("Where the time of each stage goes, by sampling.")
    names = [row.name for row in STAGES]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="not all stages")
    parser.add_argument("--flames", type=Path, default=Path("results/flames"), help="folder of the flame graphs")
    return page.chosen(parser)


def _sampled(sampler: str, config: Config, clip: str, stage: str, out: Path) -> flame.Stacks:
    """Stacks of one stage's process, from the end of the warm-up to the end of the run."""
    run_dir = new_run_dir()
    endpoint = f"ipc://{run_dir}/poses.sock"
    config = msgspec.structs.replace(config, publish=msgspec.structs.replace(config.publish, endpoint=endpoint))
    process: subprocess.Popen[str] | None = None

    def watch(health: Health) -> None:
        nonlocal process
        if process is None and health.stage == stage and health.received >= SKIPPED:
            pid = supervisor.pids()[config.processes[stage]]
            command = [sampler, "record", "--pid", str(pid), "--function", "--format", "raw"]
            # Stopping the process for each sample would wake its waiting threads, which then look as if they worked.
            command += ["--nonblocking"]
            command += ["--rate", str(RATE_HZ), "--duration", "600", "--output", str(out)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    supervisor = Supervisor(config, clip, on_health=watch, run_dir=run_dir)
    outcome = supervisor.run()
    if outcome.error:
        raise SourceError(outcome.error)
    if process is None:
        raise SourceError(f"{clip}: over before {stage} could be sampled")
    said, _ = process.communicate(timeout=60)
    if not out.is_file():
        raise PosecastError(f"py-spy gave nothing for {stage} ({_last_line(said)}); run it as root")
    text = out.read_text(encoding="utf-8")
    out.unlink()
    return parsed(text)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no reason given"


def parsed(text: str) -> flame.Stacks:
    """Stacks from py-spy's raw format: functions joined by semicolons, a space, a count.

    Only those in which a function of ours is at work: not libraries' threads, nor the interpreter's end, nor waiting.
    """
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        functions, _, count = line.rpartition(" ")
        stack = tuple(_plain(name) for name in functions.split(";"))
        if stack[-1] not in WAITS and any(_file(name).startswith(OURS) for name in stack):
            stacks[stack] += int(count)
    return stacks


def _plain(name: str) -> str:
    """A function's name without what differs from run to run: addresses, versions of libraries, our folder."""
    name = name.replace(f"{ROOT}/", "")
    name = re.sub(r"(\.py):\d+\)$", r"\1)", name)
    name = re.sub(r"^0x[0-9a-f]+ \((.+)\)$", r"(\1)", name)
    return "(machine code made at run time)" if "?" in name else re.sub(r"(\.cpython[^/]*)?(\.so)[.\d]*", r"\2", name)


def summary(stacks: flame.Stacks) -> page.Figures:
    """Samples, the share in networks, and the functions in which most samples ended, with what they had called most."""
    total = sum(stacks.values())
    functions: Counter[str] = Counter()
    inside: dict[str, Counter[str]] = {}
    for stack, count in stacks.items():
        function, called = ended_in(stack)
        functions[function] += count
        inside.setdefault(function, Counter())[called] += count
    networks = sum(count for stack, count in stacks.items() if NETWORK in stack)
    top = [
        {"function": function, "inside": inside[function].most_common(1)[0][0], "share": count / total}
        for function, count in functions.most_common(TOP)
    ]
    return {"samples": total, "networks": networks / total if total else 0.0, "top": top}


def ended_in(stack: tuple[str, ...]) -> tuple[str, str]:
    """The last function of ours in a stack, and the library or Python module that it had called, if any."""
    last = max(place for place, name in enumerate(stack) if _file(name).startswith(OURS))
    return stack[last], "" if last == len(stack) - 1 else _file(stack[-1])


def _file(name: str) -> str:
    found = re.search(r"\(([^()]*)\)$", name)
    return found.group(1) if found else name


def markdown(figures: page.Figures) -> str:
    """The section."""
    counts = ", ".join(f"{name} {stage['samples']}" for name, stage in figures["stages"].items())
    samples = f"{figures['rate_hz']} a second while a thread of Python works: {counts}"
    facts = page.facts(figures, figures["source"], samples, "python benchmarks/profile.py --json results/profile.json")
    rows = [
        (
            name if not place else "",
            f"`{top['function']}`",
            top["inside"],
            f"{top['share']:.0%}",
            networks if not place else "",
        )
        for name, stage in figures["stages"].items()
        for networks in [f"{stage['networks']:.0%}"]
        for place, top in enumerate(stage["top"])
    ]
    return facts + "\n" + page.table(("stage", "function", "mostly inside", "share", "all networks"), rows, words=3)


if __name__ == "__main__":
    page.guarded(main)
