"""The cache of engines: built once, whoever asks; never trusted unread; never in the way."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from engines.cache import ASIDE, Built, Cache, Damaged, Key, packed, unpacked
from tests.conftest import ROOT

KEY = Key("stn", {"precision": "int8", "library": "OpenVINO 1"})
ENGINE = Built("5 mm off", bytes(range(256)) * 400)
OTHER = Built("", b"other")
NEVER = Built("", b"never")


def builder(engine=ENGINE):
    calls = []

    def build():
        calls.append(1)
        return engine

    build.calls = calls
    return build


def test_an_engine_is_built_once_and_read_afterwards(tmp_path):
    build = builder()
    assert Cache(tmp_path).engine(KEY, build) == ENGINE
    assert Cache(tmp_path).engine(KEY, build) == ENGINE
    assert len(build.calls) == 1
    (kept,) = Cache(tmp_path).kept()
    assert (kept.network, kept.facts) == ("stn", {"network": "stn", **KEY.facts})
    assert kept.size_bytes > len(ENGINE.engine)
    assert kept.note == "5 mm off"


def test_another_fact_is_another_engine(tmp_path):
    cache = Cache(tmp_path)
    cache.engine(KEY, builder())
    other = Key("stn", {**KEY.facts, "library": "OpenVINO 2"})
    assert cache.engine(other, builder(OTHER)) == OTHER
    assert cache.engine(KEY, builder(NEVER)) == ENGINE
    assert len(cache.kept()) == 2


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda data: data[:-7], "bytes of"),
        (lambda data: data[:-1] + b"\x00", "altered"),
        (lambda data: b"ELF" + data, "not an engine"),
        (lambda data: data[:30], "head cannot be read"),
        (lambda data: b"", "not an engine"),
        (lambda data: packed({"network": "hrnet"}, OTHER), "another engine"),
    ],
)
def test_a_spoiled_file_is_set_aside_and_built_again(tmp_path, spoil, what, caplog):
    cache = Cache(tmp_path)
    cache.engine(KEY, builder())
    path = cache.path_of(KEY)
    spoilt = spoil(path.read_bytes())
    path.write_bytes(spoilt)
    again = builder(OTHER)
    assert cache.engine(KEY, again) == OTHER
    assert len(again.calls) == 1
    assert what in caplog.text
    assert path.with_name(path.name + ASIDE).read_bytes() == spoilt
    assert cache.engine(KEY, builder(NEVER)) == OTHER


def test_what_build_raises_goes_through_and_leaves_nothing(tmp_path):
    def build():
        raise ValueError("no such operator")

    with pytest.raises(ValueError, match="no such operator"):
        Cache(tmp_path).engine(KEY, build)
    assert Cache(tmp_path).kept() == []
    assert Cache(tmp_path).engine(KEY, builder()) == ENGINE


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").is_dir(), reason="needs /proc, which nobody can write to")
def test_a_folder_that_cannot_be_made_costs_a_build_each_time(caplog):
    build = builder()
    cache = Cache(Path("/proc/posecast-cannot-be-here"))
    assert cache.engine(KEY, build) == cache.engine(KEY, build) == ENGINE
    assert len(build.calls) == 2
    assert "POSECAST_CACHE" in caplog.text


def test_a_full_disk_costs_a_build_and_leaves_nothing_half_written(tmp_path, monkeypatch, caplog):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert Cache(tmp_path).engine(KEY, builder()) == ENGINE
    assert "No space left" in caplog.text
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_told_by_the_kernel_too(tmp_path, caplog):
    cache = Cache(tmp_path)
    cache.path_of(KEY).with_name(cache.path_of(KEY).name + ".part").symlink_to("/dev/full")
    assert cache.engine(KEY, builder()) == ENGINE
    assert "No space left" in caplog.text
    assert not cache.path_of(KEY).exists()


SLOW = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from engines.cache import Built, Cache, Key

    folder, log = Path(sys.argv[1]), Path(sys.argv[2])

    def build():
        with log.open("a") as file:
            file.write("built\\n")
        print("building", flush=True)
        time.sleep(float(sys.argv[3]))
        return Built("", b"slow")

    print(Cache(folder).engine(Key("stn", {"a": "b"}), build).engine.decode(), flush=True)
    """
)


def start(folder, log, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder), str(log), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_six_that_start_at_once_build_once(tmp_path):
    folder, log = tmp_path / "cache", tmp_path / "log"
    processes = [start(folder, log, 0.5) for _ in range(6)]
    answers = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert answers == ["slow"] * 6
    assert log.read_text().splitlines() == ["built"]


def test_a_builder_that_is_killed_neither_blocks_nor_spoils(tmp_path):
    folder, log = tmp_path / "cache", tmp_path / "log"
    killed = start(folder, log, 60)
    assert killed.stdout.readline().strip() == "building"
    waiting = start(folder, log, 0)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert waiting.communicate(timeout=60)[0].splitlines()[-1] == "slow"
    assert log.read_text().splitlines() == ["built", "built"]


def test_clean_removes_everything(tmp_path):
    cache = Cache(tmp_path)
    cache.engine(KEY, builder())
    path = cache.path_of(KEY)
    path.write_bytes(b"spoilt")
    cache.engine(KEY, builder())
    path.with_name(path.name + ".part").write_bytes(b"half")
    count, size = cache.clean()
    assert count == 3 and size > len(ENGINE.engine)
    assert list(tmp_path.iterdir()) == []
    assert cache.clean() == (0, 0)


def test_packed_files_are_read_back_and_nothing_else():
    built = Built("a note\nin two lines", b"x\ny")
    assert unpacked(packed({"a": "b"}, built)) == ({"a": "b"}, built)
    with pytest.raises(Damaged):
        unpacked(packed({"a": "b"}, built) + b"y")
