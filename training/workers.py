"""Processes that share numbered pieces of work; a piece whose process dies is done again by a fresh one.

`multiprocessing.Pool` replaces a dead process too, but its piece is lost and whoever waits for it waits for ever.
Here each process has a pipe of its own: no lock or queue that a dying one could leave locked or half-written.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import re
import signal
import tempfile
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from training.errors import TrainingError

Work = Callable[[int, Callable[[], None]], object]
"""Does the piece of a number, and calls the function it is given once for every unit done."""

ATTEMPTS: Final = 3
_LEAVE_S: Final = 10.0
_UNIT: Final = "unit"
_PIECE: Final = "piece"
_INNERMOST: Final = re.compile(r'\(most recent call first\):\n  File "(?:.*/)?([^"/]+)", line (\d+) in (\S+)')


class DiedError(TrainingError):
    """Every process that was given piece `number` died."""

    def __init__(self, number: int, cause: str) -> None:
        super().__init__(f"piece {number}: its process died {ATTEMPTS} times ({cause})")
        self.number, self.cause = number, cause


def share(
    work: Work,
    numbers: Sequence[int],
    count: int,
    progress: Callable[[int], None] = lambda _: None,
    again: Callable[[int, str], None] = lambda _number, _cause: None,
) -> None:
    """Do all pieces in up to `count` processes; `work` must be picklable. All are gone when this returns or raises.

    `progress` is told how many units are done, those of a dead process's piece no longer counted; `again` the piece
    that is begun again, and why. Raises DiedError after `ATTEMPTS` deaths over one piece, and what `work` raises.
    """
    waiting, deaths, done = deque(numbers), Counter[int](), 0
    team: list[_Process] = []
    try:
        while waiting or team:
            while waiting and len(team) < count:
                team.append(_Process(work, waiting.popleft()))
            for process in _heard(team):
                message = process.receive()
                if isinstance(message, Exception):
                    raise message
                if message == _UNIT:
                    process.units += 1
                elif message == _PIECE:
                    done += process.units
                    process.next(waiting.popleft() if waiting else None)
                    if process.number is None:
                        team.remove(process)
                else:
                    team.remove(process)
                    number, cause = _lost(process)
                    deaths[number] += 1
                    if deaths[number] == ATTEMPTS:
                        raise DiedError(number, cause)
                    again(number, cause)
                    waiting.appendleft(number)
                progress(done + sum(process.units for process in team))
    finally:
        for process in team:
            process.stop()


def _heard(team: list[_Process]) -> list[_Process]:
    ready = wait([process.pipe for process in team])
    return [process for process in team if process.pipe in ready]


def _lost(process: _Process) -> tuple[int, str]:
    """The piece that a dead process had, and what killed it."""
    assert process.number is not None
    return process.number, process.cause()


class _Process:
    """One process, the piece `number` it works at, and how many `units` of that are done."""

    def __init__(self, work: Work, number: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.number: int | None = None
        self.units = 0
        with tempfile.NamedTemporaryFile(prefix="posecast-", suffix=".trace", delete=False) as trace:
            self._trace = Path(trace.name)
        self._process = context.Process(target=_serve, args=(work, theirs, str(self._trace)), daemon=True)
        with _deaf_to_ctrl_c():
            self._process.start()
        theirs.close()  # so that its death is the end of the pipe
        self.next(number)

    def next(self, number: int | None) -> None:
        """Give it another piece; None sends it home."""
        self.number, self.units = number, 0
        with contextlib.suppress(ConnectionError):  # a dead one is noticed when it is listened to
            self.pipe.send(number)
        if number is None:
            self._leave()

    def receive(self) -> Any:
        """Its message; None when it is dead."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            return None

    def cause(self) -> str:
        """What a dead process died of: the signal or exit code, and the line of Python it was at if that is known."""
        self._process.join()
        code = self._process.exitcode or 0
        trace = self._trace.read_text(errors="replace") if self._trace.exists() else ""
        place = _INNERMOST.search(trace)
        self._leave()
        died_of = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{died_of} in {place[3]}, {place[1]} line {place[2]}" if place else died_of

    def stop(self) -> None:
        """End it in the middle of its work."""
        self._process.kill()
        self._leave()

    def _leave(self) -> None:
        self._process.join(_LEAVE_S)
        self._process.kill()  # a driver may hang while it is unloaded
        self._process.join()
        self.pipe.close()
        self._trace.unlink(missing_ok=True)


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started here never hears Ctrl-C: that is for this one, which ends those it started."""
    resource_tracker.ensure_running()  # the first process starts it, and it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Work, pipe: Connection, trace: str) -> None:
    """The life of one process; it ends by itself when the one that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(trace).open("w") as file:
        faulthandler.enable(file, all_threads=False)
        with contextlib.suppress(EOFError, ConnectionError):
            while (number := pipe.recv()) is not None:
                _do(work, number, pipe)
        faulthandler.disable()
    Path(trace).unlink(missing_ok=True)


def _do(work: Work, number: int, pipe: Connection) -> None:
    try:
        work(number, lambda: pipe.send(_UNIT))
    except ConnectionError:
        raise
    except Exception as error:
        error.add_note(traceback.format_exc())
        pipe.send(error)
    else:
        pipe.send(_PIECE)
