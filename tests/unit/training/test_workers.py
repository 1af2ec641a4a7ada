"""Processes that share work, really killed: their pieces are done again, nothing is counted twice, none stays."""

import ctypes
import functools
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from training.workers import ATTEMPTS, DiedError, share

UNITS = 4


def piece(folder, deadly, how, number, done):
    """Notes who did `number`; dies of `how` in the middle of `deadly` as often as its folder does not yet forbid."""
    for unit in range(UNITS):
        tries = sorted(folder.glob(f"{number}.died.*"))
        if number == deadly and unit == 2 and len(tries) < how[1]:
            (folder / f"{number}.died.{len(tries)}").touch()
            if how[0] == signal.SIGSEGV:
                ctypes.string_at(0)
            os.kill(os.getpid(), how[0])
        done()
    (folder / f"{number}.by.{os.getpid()}").touch()


def broken(_number, _done):
    raise OSError(28, "No space left on device", "/somewhere")


def endless(folder, number, done):
    (folder / str(os.getpid())).touch()
    while True:
        time.sleep(0.05)
        done()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSEGV])
def test_a_piece_whose_process_dies_is_done_again(tmp_path, death):
    told, again = [], []
    work = functools.partial(piece, tmp_path, 1, (death, ATTEMPTS - 1))
    share(work, range(5), 2, told.append, lambda *lost: again.append(lost))
    assert [number for number, _ in again] == [1] * (ATTEMPTS - 1)
    assert all(cause.startswith(death.name) for _, cause in again)
    if death == signal.SIGSEGV:
        assert "in string_at" in again[0][1]
    assert sorted(path.name[0] for path in tmp_path.glob("*.by.*")) == list("01234")
    assert (told[-1], max(told)) == (5 * UNITS, 5 * UNITS)
    assert sum(b < a for a, b in itertools.pairwise(told)) == len(again)
    assert multiprocessing.active_children() == []


def test_a_piece_that_kills_every_process_ends_the_work(tmp_path):
    work = functools.partial(piece, tmp_path, 0, (signal.SIGKILL, 99))
    with pytest.raises(DiedError, match=f"piece 0: its process died {ATTEMPTS} times \\(SIGKILL\\)") as caught:
        share(work, range(2), 1)
    assert (caught.value.number, caught.value.cause) == (0, "SIGKILL")
    assert multiprocessing.active_children() == []


def test_what_work_raises_is_raised_here():
    with pytest.raises(OSError, match="No space left") as caught:
        share(broken, range(3), 2)
    assert caught.value.filename == "/somewhere"
    assert "in broken" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(tmp_path, stop):
    """Ctrl-C goes to all processes of a terminal at once; a kill to the first one only."""
    code = (
        "import functools, pathlib, sys, test_workers; from training.workers import share\n"
        "share(functools.partial(test_workers.endless, pathlib.Path(sys.argv[1])), range(2), 2)"
    )
    here = Path(__file__).resolve().parent
    ways = os.pathsep.join([str(here), str(here.parents[2])])
    main = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": ways},
    )  # fmt: skip
    while len(workers := list(tmp_path.iterdir())) < 2:
        assert main.poll() is None, main.stderr.read()
        time.sleep(0.05)
    if stop == signal.SIGINT:
        os.killpg(main.pid, stop)
    else:
        main.kill()
    said = main.communicate(timeout=60)[1]
    psutil.wait_procs([psutil.Process(int(path.name)) for path in workers if psutil.pid_exists(int(path.name))], 30)
    assert not any(psutil.pid_exists(int(path.name)) for path in workers)
    assert said.count("Traceback") == (1 if stop == signal.SIGINT else 0), said
