"""Runs the real program as a user does, and looks at what it leaves behind."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engines.contracts import SHIPPED
from pipeline.topology import STAGES
from tests.conftest import ROOT

SAMPLE = ROOT / "samples" / "dive.mp4"
COMMAND = [sys.executable, "-m", "pipeline.cli"]


def require_weights() -> None:
    """Skip, by name, where the networks are not there."""
    missing = [
        contract.network for contract in SHIPPED if not (ROOT / "weights" / f"{contract.network}.onnx").is_file()
    ]
    if missing:
        pytest.skip(f"needs weights/{missing[0]}.onnx")


def posecast(*arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=timeout_s)


def refused(folder: Path, *arguments: object, names: str = "") -> str:
    """The one line that a command ends with, which has `names` in it; it leaves nothing in `folder`."""
    before = sorted(folder.rglob("*"))
    result = posecast(*arguments, timeout_s=90)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert names in result.stderr
    assert sorted(folder.rglob("*")) == before, "nothing is left behind"
    return result.stderr


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen]:
    """A command that goes on until it ends by itself or the block is left."""
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def stage_pids(process: subprocess.Popen) -> dict[str, int]:
    """Process id of each stage of a running command."""
    found = {}
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):
            command = child.cmdline()
            if "pipeline.worker" in command:
                found[command[-1]] = child.pid
    return found


def wait_for_stages(process: subprocess.Popen, patience_s: float = 30, processes: int = len(STAGES)) -> dict[str, int]:
    """Process ids once all stages are there."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        pids = stage_pids(process)
        if len(pids) == processes:
            return pids
        time.sleep(0.05)
    raise AssertionError(f"only {sorted(stage_pids(process))} are there after {patience_s} s")


def left_behind(pids: list[int]) -> list[str]:
    """What is still there of a run: its processes, its folders in memory."""
    processes = [f"process {pid}" for pid in pids if psutil.pid_exists(pid) and not _zombie(pid)]
    folders = [str(path) for path in Path("/dev/shm").glob("posecast-*") if not _owned_by_living(path)]
    return processes + folders


def _zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def _owned_by_living(path: Path) -> bool:
    return psutil.pid_exists(int(path.name.split("-")[1]))
