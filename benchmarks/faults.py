"""How soon a camera's failure is seen, and how soon its pictures are back: every fault of tests/faults/scenarios.py.

    python benchmarks/faults.py [--rounds N] [--json FILE] [--report docs/reliability.md]

A real RTSP server stands behind a proxy that fails as the scenario says. The scenarios of a round are played side by
side, on pictures of 160 x 96, whose decoding costs next to nothing. Then whole runs are stopped in every state of their
source.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import page  # noqa: E402
from pipeline.bench import machine  # noqa: E402
from tests import rtsp  # noqa: E402
from tests.faults.proxy import Proxy  # noqa: E402
from tests.faults.scenarios import SCENARIOS, Outcome, play_all, servers  # noqa: E402

PATIENCE_S: Final = 60.0
IN_STATE_S: Final = 0.3
COMMAND: Final = "python benchmarks/faults.py --report docs/reliability.md"
BEGIN, END = "<!-- faults: benchmarks/faults.py -->\n", "<!-- end of faults -->\n"


def main() -> None:
    """Measure, print, write."""
    options = _options()
    if not rtsp.has_gstreamer():
        page.refuse("needs GStreamer's RTSP server for the system's Python; .ci/run names the Debian packages")
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as ports:
        rounds = [play_all(SCENARIOS, ports) for _ in range(options.rounds)]
        stops = {state: [stopped_s(state, ports["h264"]) for _ in range(options.rounds)] for state in STATES}
    figures = {
        "machine": machine(),
        "rounds": options.rounds,
        "faults": {one.name: measured([played[one.name] for played in rounds]) for one in SCENARIOS},
        "stops_s": stops,
    }
    page.finish(figures, markdown, options)
    if options.report:
        page.write(options.report, replaced(options.report.read_text(encoding="utf-8"), markdown(figures)))


def _options() -> argparse.Namespace:
    parser = page.arguments("Faults of a camera.")
    parser.add_argument("--rounds", type=int, default=5, help="every scenario is played so often")
    parser.add_argument("--report", type=Path, help="the page whose marked part is replaced")
    return page.chosen(parser)


def measured(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What came of one scenario in all rounds."""
    failures: Counter[str] = Counter()
    for outcome in outcomes:
        failures |= Counter(outcome.health.failures if outcome.health else {})
    return {
        "what": outcomes[0].scenario.what,
        "states": Counter(" ".join(outcome.states) for outcome in outcomes).most_common(1)[0][0].split(),
        "fatal": str(outcomes[0].fatal.cause) if outcomes[0].fatal else "",
        "causes": sorted(failures),
        "seen_s": [outcome.seen_s for outcome in outcomes if outcome.seen_s is not None],
        "back_s": [outcome.back_s for outcome in outcomes if outcome.back_s is not None],
        "pictures": [len(outcome.pictures) for outcome in outcomes],
        "missing": [outcome.health.missing for outcome in outcomes if outcome.health],
        "jumps": [outcome.health.jumps for outcome in outcomes if outcome.health],
        "expects_seen": outcomes[0].scenario.fault_at is not None,
        "expects_back": outcomes[0].scenario.return_at is not None,
        "longest_poll_s": max(outcome.longest_poll_s for outcome in outcomes),
    }


STATES: Final[dict[str, tuple[bool, str, str]]] = {
    "connecting, nobody there": (False, "pass", "main: connecting: "),
    "connecting, not answered": (True, "silent", "main: connecting"),
    "live": (True, "pass", "main: live"),
    "stalled": (True, "freeze", "main: stalled"),
    "lost": (True, "silent", "main: lost"),
}
"""Whether the camera is there, how it is in the end, and the line that says that the state is reached."""


def stopped_s(state: str, port: int) -> float:
    """From SIGTERM to the end of a whole run whose source is in this state."""
    present, mode, line = STATES[state]
    with Proxy(port, present) as proxy, tempfile.TemporaryDirectory() as folder:
        proxy.mode = "silent" if state == "connecting, not answered" else "pass"
        source = f"rtsp://user:{quote('p@ss')}@127.0.0.1:{proxy.port}/live"
        command = [sys.executable, "-m", "pipeline.cli", "run", source, "--endpoint", f"ipc://{folder}/public"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            try:
                if state in ("stalled", "lost"):
                    _wait_for("main: live", run)
                    proxy.mode = mode  # type: ignore[assignment]
                _wait_for(line, run)
                time.sleep(IN_STATE_S)  # an attempt that is not answered is under way
                began = time.monotonic()
                run.send_signal(signal.SIGTERM)
                run.wait(PATIENCE_S)
                return time.monotonic() - began
            finally:
                run.kill()


def _wait_for(line: str, run: "subprocess.Popen[str]") -> None:
    assert run.stdout is not None
    for said in run.stdout:
        if said.startswith(line):
            return
    page.refuse(f"the run ended before it said {line!r}")


def markdown(figures: dict[str, Any]) -> str:
    """The part of docs/reliability.md."""
    rounds = figures["rounds"]
    facts = page.facts(
        figures,
        "GStreamer's RTSP server, 160 x 96 at 25 pictures a second, on loopback behind the proxy",
        f"{rounds} of every scenario, median / worst",
        COMMAND,
    )
    head = ("what happens to the camera", "states", "causes", "seen after, s", "back after, s")
    rows = [_row(fault) for fault in figures["faults"].values()]
    stops = [(state, _both(times)) for state, times in figures["stops_s"].items()]
    counted = _counted(figures["faults"])
    return (
        f"{facts}\n{page.table(head, rows, words=3)}\n{counted}\n"
        "From SIGTERM to the end of the whole run, all six processes:\n\n"
        f"{page.table(('state of the source', 'ended after, s'), stops)}"
    )


def _row(fault: dict[str, Any]) -> tuple[str, ...]:
    states = " → ".join(fault["states"])
    if fault["fatal"]:
        states += " → the run ends, exit code 2"
    causes = ", ".join(f"`{cause}`" for cause in fault["causes"]) or "none"
    seen = _both(fault["seen_s"]) if fault["expects_seen"] else "–"
    back = _both(fault["back_s"]) if fault["expects_back"] else "–"
    return fault["what"], states, causes, seen, back


def _both(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.2f} / {max(times):.2f}" if times else "never"


def _counted(faults: dict[str, Any]) -> str:
    loss, jumps, wraps = faults["loss"], faults["jumps"], faults["wraps"]
    pictures, missing = (statistics.median(loss[name]) for name in ("pictures", "missing"))
    return (
        f"With 30 % of the packets lost {pictures:.0f} pictures came and {missing:.0f} were counted as missing.\n"
        f"{statistics.median(jumps['jumps']):.0f} jumps of the clock were counted where it jumped twice, "
        f"{statistics.median(wraps['jumps']):.0f} where its timestamps wrapped around.\nNo call took longer than "
        f"{max(fault['longest_poll_s'] for fault in faults.values()) * 1e3:.0f} ms, of which 50 are asked for.\n"
    )


def replaced(text: str, section: str) -> str:
    """The page with the part between the markers replaced."""
    if BEGIN not in text or END not in text:
        page.refuse(f"the page has no part between {BEGIN.strip()} and {END.strip()}")
    return text.split(BEGIN)[0] + BEGIN + section + END + text.split(END)[1]


if __name__ == "__main__":
    page.guarded(main)
