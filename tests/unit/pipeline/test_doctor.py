import os
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

import pipeline.doctor as doctor
from engines import choice
from pipeline.config import Config
from pipeline.doctor import Check

ROOT = Path(__file__).resolve().parents[3]


def only(checks) -> Check:
    [check] = checks
    return check


def test_every_failure_has_a_remedy_and_every_name_is_unique():
    done = doctor.checks()
    assert len({check.name for check in done}) == len(done)
    assert all(check.fix for check in done if check.state != "ok")
    assert all(check.found for check in done)
    named = {check.name for check in done}
    assert {"Python", "numpy", "cores", "memory", "shared memory", "H.264 decoder", "RTSP", "GPU"} <= named
    assert {"port 5599", "ffmpeg program", "weights stn", "weights temporal_window", "CPU features"} <= named


def test_this_environment_can_decode_and_encode():
    states = {check.name: check.state for check in doctor.video()}
    assert states["H.264 decoder"] == states["H.264 encoder"] == states["RTSP"] == "ok"


def test_versions_asked_for_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dict(line.split(">=") for line in project["dependencies"] if ">=" in line).items() >= doctor.LEAST.items()
    assert {line.split(">=")[0] for line in project["dependencies"]} - {"pillow"} == set(doctor.LEAST)
    assert project["requires-python"] == ">=" + ".".join(map(str, doctor.LEAST_PYTHON))


@pytest.mark.parametrize(
    ("found", "state"), [(None, "fail"), ("1.9.9", "fail"), ("2.2", "ok"), ("2.2.0rc1", "ok"), ("2.10.1", "ok")]
)
def test_a_library_is_missing_too_old_or_fine(found, state):
    check = doctor.package("numpy", found, "2.2")
    assert check.state == state
    assert check.fix == ("" if state == "ok" else "pip install 'numpy>=2.2'")


def test_versions_compare_as_numbers():
    assert doctor.version_key("10.0") > doctor.version_key("9.9.9")
    assert doctor.version_key("2.13.0+cpu") == (2, 13, 0)
    assert doctor.version_key("5.0.0.93") == (5, 0, 0, 93)


def test_a_rival_of_opencv_is_a_failure(monkeypatch):
    real = doctor.package_version
    monkeypatch.setattr(doctor, "package_version", lambda name: "4.1" if name == "opencv-python" else real(name))
    failed = [check for check in doctor.packages() if check.name == "opencv-python"]
    assert [check.state for check in failed] == ["fail"]
    assert "uninstall" in failed[0].fix


def test_cpu_features_are_read_from_the_kernel():
    check = doctor.cpu_features("processor : 0\nflags\t\t: fpu avx2 avx512_vnni amx_int8\nflags : fpu\n")
    assert (check.state, check.found) == ("ok", "avx2, avx512_vnni, amx_int8")
    assert doctor.cpu_features("flags : fpu sse2\n").state == "warn"
    assert doctor.cpu_features("").state == "warn"


def test_a_taken_port_is_a_failure_and_a_free_one_is_not():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        check = only(doctor.port(f"tcp://127.0.0.1:{number}"))
        assert (check.name, check.state) == (f"port {number}", "fail")
        assert f"{number}" in check.fix
    assert only(doctor.port(f"tcp://127.0.0.1:{number}")).state == "ok"
    assert list(doctor.port("ipc:///tmp/x")) == []


def test_shared_memory_is_written_and_left_clean(tmp_path, monkeypatch):
    assert only(doctor.shared_memory(tmp_path)).state == "ok"
    assert list(tmp_path.iterdir()) == []
    assert only(doctor.shared_memory(tmp_path / "missing")).state == "warn"
    monkeypatch.setattr(doctor, "RING_MB", 1e9)
    check = only(doctor.shared_memory(tmp_path))
    assert check.state == "fail"
    assert "shm-size" in check.fix


def test_shared_memory_without_permission_is_a_failure(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    assert only(doctor.shared_memory(tmp_path)).state == "fail"


def test_missing_and_altered_weights_are_failures(tmp_path):
    states = list(doctor.weights(str(tmp_path)))
    assert {check.state for check in states} == {"fail"}
    (tmp_path / "stn.onnx").write_bytes(b"other")
    (tmp_path / "manifest.json").write_text('{"stn": {"sha256": "00", "bytes": 5}}')
    stn = next(check for check in doctor.weights(str(tmp_path)) if check.name == "weights stn")
    assert stn.state == "fail"
    assert "SHA-256" in stn.found
    assert stn.fix


def test_a_folder_for_engines_that_cannot_be_is_a_warning(tmp_path):
    assert only(doctor.engine_cache(str(tmp_path / "a" / "b"))).state == "ok"
    (tmp_path / "file").write_text("")
    check = only(doctor.engine_cache(str(tmp_path / "file" / "b")))
    assert check.state == "warn"
    assert "POSECAST_CACHE" in check.fix


def fake_smi(folder: Path, text: str, code: int) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    program.chmod(0o755)


def test_a_gpu_is_reported_and_a_broken_driver_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    fake_smi(tmp_path, "Some GPU, 550.1, 24576 MiB", 0)
    first = next(doctor.gpu())
    assert (first.state, first.found) == ("ok", "Some GPU, 550.1, 24576 MiB")
    monkeypatch.setattr(choice, "why_no_gpu", lambda: "PyCUDA cannot be imported")
    tensorrt = list(doctor.gpu())[1]
    assert (tensorrt.state, tensorrt.found) == ("warn", "the CPU is used: PyCUDA cannot be imported")
    assert "posecast[gpu]" in tensorrt.fix
    monkeypatch.setattr(choice, "why_no_gpu", lambda: None)
    assert [check.state for check in doctor.gpu()] == ["ok", "ok"]
    fake_smi(tmp_path, "Failed to initialize NVML", 9)
    check = only(doctor.gpu())
    assert (check.state, check.found) == ("warn", "Failed to initialize NVML")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert only(doctor.gpu()).state == "ok"


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("fail", 2)])
def test_the_exit_code_is_that_of_the_worst(monkeypatch, state, code):
    monkeypatch.setattr(doctor, "checks", lambda config: [Check("thing", state, "found [it]", "do [this]")])
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    with console.file:
        assert doctor.examine(console, Config()) == code
        text = console.export_text()
    assert "found [it]" in text
    assert "do [this]" in text


def test_python_is_the_one_that_runs():
    assert sys.executable in only(doctor.python()).found
