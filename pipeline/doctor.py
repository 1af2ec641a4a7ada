"""`posecast doctor`: what on this machine would go wrong during the event, with the remedy beside it."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.config import Config
from pipeline.edges.versions import package_version

State = Literal["ok", "warn", "fail"]

LEAST_PYTHON: Final = (3, 11)
LEAST: Final = {
    "numpy": "2.2",
    "opencv-python-headless": "4.11",
    "av": "15.0",
    "pyzmq": "26.2",
    "msgspec": "0.19",
    "msgpack": "1.1",
    "mcap": "1.6",
    "aiohttp": "3.11",
    "prometheus-client": "0.21",
    "openvino": "2025.2",
    "onnxruntime": "1.22",
    "typer": "0.15",
    "rich": "13.9",
    "psutil": "6.1",
    "matplotlib": "3.10",
}
"""Oldest versions the live path is meant for; a test holds them equal to the package's own requirements."""
RIVALS: Final = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Distributions that overwrite the same `cv2` folder as opencv-python-headless."""
CPU_FEATURES: Final = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
MEMORY_GB: Final = 2.0
RING_MB: Final = 64


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what was looked at, how it is, what was found, what to type if it is not well."""

    name: str
    state: State
    found: str
    fix: str = ""


def checks(config: Config | None = None) -> list[Check]:
    """Everything, in the order in which it matters."""
    config = config or Config()
    looks: tuple[Callable[[], Iterator[Check]], ...] = (
        python,
        packages,
        processor,
        memory,
        lambda: port(config.publish.endpoint),
        shared_memory,
        video,
        lambda: weights(config.engines.weights),
        lambda: engine_cache(config.engines.cache),
        gpu,
    )
    return [check for look in looks for check in look()]


def python() -> Iterator[Check]:
    """The interpreter's version."""
    found = f"{platform.python_version()} ({sys.executable})"
    good = sys.version_info >= LEAST_PYTHON
    yield Check("Python", "ok" if good else "fail", found, "" if good else "install Python 3.11 or newer")


def packages() -> Iterator[Check]:
    """The libraries of the live path, and what quarrels with them."""
    for name, least in LEAST.items():
        yield package(name, package_version(name), least)
    for name in RIVALS:
        if package_version(name) is not None:
            remedy = f"pip uninstall -y {name} && pip install --force-reinstall opencv-python-headless"
            yield Check(name, "fail", "installed beside opencv-python-headless: both write the folder cv2", remedy)


def package(name: str, found: str | None, least: str) -> Check:
    """One library: present and not too old."""
    remedy = f"pip install '{name}>={least}'"
    if found is None:
        return Check(name, "fail", "missing", remedy)
    if version_key(found) < version_key(least):
        return Check(name, "fail", f"{found}, older than {least}", remedy)
    return Check(name, "ok", found)


def version_key(version: str) -> tuple[int, ...]:
    """Leading numbers of a version, for comparing: `4.11.0.86` is (4, 11, 0, 86), `2.0rc1` is (2, 0)."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[Check]:
    """Cores, and the instructions that make int8 and bf16 fast."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    remedy = "" if cores >= 2 else "give the machine two cores; one will drop frames at 30 fps"
    yield Check("cores", "ok" if cores >= 2 else "warn", str(cores), remedy)
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        yield Check("CPU features", "warn", f"{cpuinfo} is not there, {platform.machine()}", "see `posecast bench`")
        return
    yield cpu_features(text)


def cpu_features(cpuinfo: str) -> Check:
    """The instructions of interest in the text of /proc/cpuinfo."""
    lines = [line.split(":", 1)[1] for line in cpuinfo.splitlines() if line.startswith(("flags", "Features"))]
    flags = set(lines[0].split()) if lines else set()
    found = [name for name in CPU_FEATURES if name in flags]
    if not found:
        return Check("CPU features", "warn", "no AVX2", "expect low speed; measure with `posecast bench`")
    return Check("CPU features", "ok", ", ".join(found))


def memory() -> Iterator[Check]:
    """Memory that is free for a run."""
    free_gb = psutil.virtual_memory().available / 1e9
    good = free_gb >= MEMORY_GB
    remedy = "" if good else f"close other programs: a run takes up to {MEMORY_GB:.0f} GB"
    yield Check("memory", "ok" if good else "warn", f"{free_gb:.1f} GB available", remedy)


def port(endpoint: str) -> Iterator[Check]:
    """Whether the publishing port can be bound."""
    host, _, number = endpoint.removeprefix("tcp://").rpartition(":")
    if not endpoint.startswith("tcp://") or not number.isdigit():
        return
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    address = {"*": "0.0.0.0", "": "0.0.0.0"}.get(host, host.strip("[]"))
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, int(number)))
        except OSError as error:
            remedy = f"another posecast or program holds it: `ss -ltnp 'sport = :{number}'`, or choose --endpoint"
            yield Check(f"port {number}", "fail", f"{endpoint}: {error.strerror}", remedy)
            return
    yield Check(f"port {number}", "ok", "free")


def shared_memory(folder: Path = Path("/dev/shm")) -> Iterator[Check]:
    """Room for the ring of pictures, and whether it can be written."""
    remedy = f"give at least {RING_MB} MB: docker run --shm-size=512m, or mount -o remount,size=512m {folder}"
    if not folder.is_dir():
        yield Check("shared memory", "warn", f"{folder} is not there; the ring goes to a disk", "mount a tmpfs there")
        return
    probe = folder / f"posecast-doctor-{os.getpid()}"
    try:
        free_mb = shutil.disk_usage(folder).free / 1e6
        probe.write_bytes(bytes(1 << 20))
    except OSError as error:
        yield Check("shared memory", "fail", f"{folder}: {error.strerror}", remedy)
        return
    finally:
        probe.unlink(missing_ok=True)
    good = free_mb >= RING_MB
    yield Check("shared memory", "ok" if good else "fail", f"{free_mb:.0f} MB free", "" if good else remedy)


def video() -> Iterator[Check]:
    """Decoding and encoding: PyAV's codecs and protocols, and the ffmpeg program."""
    try:
        import av
        from av.codec import Codec
        from av.error import FFmpegError
        from av.format import ContainerFormat
    except ImportError as error:
        yield Check("video", "fail", f"PyAV does not load ({error})", "pip install --force-reinstall av")
        return
    remedy = "pip install --force-reinstall av (the wheel from PyPI, not a build of your own)"
    modes: tuple[tuple[str, Literal["r", "w"], str], ...] = (
        ("h264", "r", "H.264 decoder"),
        ("libx264", "w", "H.264 encoder"),
    )
    for name, mode, what in modes:
        try:
            Codec(name, mode)
            yield Check(what, "ok", f"{name} of PyAV {av.__version__}")
        except (FFmpegError, ValueError):
            yield Check(what, "fail", f"PyAV {av.__version__} lacks {name}", remedy)
    try:
        ContainerFormat("rtsp", "r")
        yield Check("RTSP", "ok", "PyAV reads rtsp://")
    except (FFmpegError, ValueError):
        yield Check("RTSP", "fail", "PyAV lacks RTSP", remedy)
    program = shutil.which("ffmpeg")
    hint = "" if program else "not needed to run, handy for recordings: apt-get install ffmpeg"
    yield Check("ffmpeg program", "ok" if program else "warn", program or "not found", hint)


def weights(folder: str = "") -> Iterator[Check]:
    """Every shipped network's file against the manifest's SHA-256."""
    from engines.contracts import SHIPPED
    from engines.errors import WeightsError
    from engines.store import verify

    for contract in SHIPPED:
        name = f"weights {contract.network}"
        try:
            path = verify(contract.network, folder)
            yield Check(name, "ok", f"{path.stat().st_size / 1e6:.1f} MB, as listed")
        except WeightsError as error:
            found, _, remedy = str(error).partition("; ")
            yield Check(name, "fail", found, remedy or "restore the file from the release")


def gpu() -> Iterator[Check]:
    """An NVIDIA GPU and what would use it; all optional."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Check("GPU", "ok", "none found; the CPU is used")
        return
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Check("GPU", "warn", f"nvidia-smi does not answer ({error})", "check the driver: nvidia-smi")
        return
    if answer.returncode != 0:
        reason = (answer.stdout + answer.stderr).strip().splitlines()
        yield Check("GPU", "warn", reason[0] if reason else "nvidia-smi failed", "check the driver: nvidia-smi")
        return
    yield Check("GPU", "ok", "; ".join(answer.stdout.strip().splitlines()))
    from engines.choice import why_no_gpu

    missing = why_no_gpu()
    if missing is None:
        yield Check("TensorRT", "ok", "the networks run on the GPU")
    else:
        yield Check("TensorRT", "warn", f"the CPU is used: {missing}", "pip install 'posecast[gpu]'")


def engine_cache(folder: str = "") -> Iterator[Check]:
    """Whether built engines can be kept: else every start builds them anew."""
    from engines.cache import FOLDER_VARIABLE, default_folder

    wanted = Path(folder).expanduser() if folder else default_folder()
    there = next(place for place in (wanted, *wanted.parents) if place.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        yield Check("engine cache", "ok", str(wanted))
    else:
        yield Check("engine cache", "warn", f"{there} cannot be written", f"set engines.cache or {FOLDER_VARIABLE}")


def examine(console: Console, config: Config | None = None) -> int:
    """Print all checks as a table; exit code 0, or 2 if one failed."""
    done = checks(config)
    console.print(table(done))
    failed = sum(check.state == "fail" for check in done)
    warned = sum(check.state == "warn" for check in done)
    verdict = f"{failed} failed, {warned} to know about" if failed or warned else "all is well"
    console.print(Text(verdict, style="red" if failed else "yellow" if warned else "green"))
    return 2 if failed else 0


def table(done: list[Check]) -> Table:
    """One row a check; the remedy stands beside what failed."""
    marks: dict[State, Text] = {
        "ok": Text("ok", style="green"),
        "warn": Text("warn", style="yellow"),
        "fail": Text("FAIL", style="bold red"),
    }
    result = Table(box=None, pad_edge=False, header_style="dim")
    result.add_column("", no_wrap=True)
    result.add_column("check", no_wrap=True)
    result.add_column("found", overflow="fold")
    result.add_column("what to do", overflow="fold")
    for check in done:
        result.add_row(marks[check.state], check.name, Text(check.found), Text(check.fix, style="bold"))
    return result
