"""`posecast engines`: what is built is listed, what is listed was checked, and clean leaves nothing."""

import os
import time

import pytest

from tests.conftest import ROOT
from tests.posecast import posecast, require_weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache of these commands alone; they print wide tables."""
    monkeypatch.setenv("POSECAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


def test_engines_are_built_once_listed_and_removed(folder):
    require_weights()
    assert "no engine built yet" in posecast("engines", "list").stdout
    first = posecast("engines", "build")
    assert first.returncode == 0, first.stderr
    assert all(stage in first.stdout for stage in ("track", "encode", "decode", "smooth"))
    built = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.engine")}
    assert len(built) >= 6
    again = posecast("engines", "build")
    assert again.returncode == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.engine")} == built
    listed = posecast("engines", "list").stdout
    assert f"{len(built)} in {folder}" in listed
    assert "hrnet_w18_small_v2" in listed and " px" in listed
    cleaned = posecast("engines", "clean")
    assert cleaned.returncode == 0 and "removed" in cleaned.stdout
    assert list(folder.iterdir()) == []


def test_a_run_finds_what_was_built(folder):
    require_weights()
    assert posecast("engines", "build").returncode == 0
    before = set(folder.glob("*.engine"))
    done = posecast("run", ROOT / "samples" / "dive.mp4", "--seconds", 4, "--endpoint", f"ipc://{folder}/poses")
    assert done.returncode == 0, done.stderr
    assert "building" not in done.stdout
    assert set(folder.glob("*.engine")) == before


def test_what_is_built_at_the_first_start_is_said(folder):
    require_weights()
    done = posecast("run", ROOT / "samples" / "dive.mp4", "--seconds", 12, "--endpoint", f"ipc://{folder.parent}/poses")
    assert done.returncode == 0, done.stderr
    assert "encode: building hrnet_w18_small_v2 in int8 for cpu" in done.stdout


def test_check_judges_every_engine_of_this_machine(folder):
    require_weights()
    done = posecast("engines", "check")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "openvino int8" in line]
    assert any("heatmaps" in line and "good" in line for line in lines)
    assert any("embedding" in line and "not used" in line for line in lines)
    assert not folder.exists() or not list(folder.glob("*.engine"))  # past the cache


def test_a_precision_that_is_none_is_refused_in_one_line(tmp_path):
    config = tmp_path / "own.toml"
    config.write_text('[engines]\nprecision = "int4"\n')
    done = posecast("engines", "build", "--config", config)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "precision" in done.stderr
    config.write_text('[engines]\ndevice = "gpu"\n')
    done = posecast("engines", "list", "--config", config)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "device" in done.stderr


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU")  # noqa: PTH110
def test_a_gpu_that_is_not_there_ends_in_one_line(tmp_path):
    config = tmp_path / "own.toml"
    config.write_text('[engines]\ndevice = "cuda:0"\n')
    start = time.monotonic()
    for command in (("engines", "build"), ("run", ROOT / "samples" / "dive.mp4")):
        done = posecast(*command, "--config", config)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "no GPU" in done.stderr and "engines.device" in done.stderr
    assert time.monotonic() - start < 60
