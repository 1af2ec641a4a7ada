"""Built engines on disk: made once for each machine, never trusted unread.

A file is named after everything its engine depends on and says so at its head, with the length and the SHA-256 of what
follows; one that was cut short, altered or put there by something else is set aside and made anew. Processes that
start at once wait for the first of them to build. A folder that cannot be written costs time at every start, no more.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = b"posecast engine 1\n"
SUFFIX: Final = ".engine"
ASIDE: Final = ".set-aside"
FOLDER_VARIABLE: Final = "POSECAST_CACHE"
PATIENCE_S: Final = 600.0
"""Longest wait for another process that builds the same engine; then this one builds for itself."""
_TURN_S: Final = 0.05
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """What an engine depends on: a difference in any of the facts is another engine."""

    network: str
    facts: Mapping[str, str]

    @property
    def name(self) -> str:
        """Stem of the file: the network, and sixteen hexadecimal digits for the facts."""
        return f"{self.network}-{hashlib.sha256(self._canonical()).hexdigest()[:16]}"

    def _canonical(self) -> bytes:
        return json.dumps({"network": self.network, **self.facts}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and a line that says what was found when it was checked."""

    note: str
    engine: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the cache as `posecast engines list` shows it; `facts` is empty where the file is damaged."""

    path: Path
    network: str
    facts: Mapping[str, str]
    note: str
    size_bytes: int


class Damaged(Exception):
    """A file is not what its name says: cut short, altered, or not one of ours."""


def default_folder() -> Path:
    """`$POSECAST_CACHE`, else `posecast/engines` in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "posecast" / "engines"


class Cache:
    """The engines of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def engine(self, key: Key, build: Callable[[], Built]) -> Built:
        """The engine of `key`: read if it was built before, else built now, by one process for all that ask.

        Whatever is wrong with the folder, an engine comes back; only what `build` raises goes through.
        """
        path = self.path_of(key)
        found = self._read(path, key)
        if found is not None:
            return found
        with self._lock(path) as locked:
            found = self._read(path, key) if locked else None
            if found is not None:
                return found
            built = build()
            if locked:
                self._write(path, key, built)
            return built

    def path_of(self, key: Key) -> Path:
        """Where the engine of `key` lies, or would."""
        return self.folder / f"{key.name}{SUFFIX}"

    def kept(self) -> list[Kept]:
        """Every engine in the folder, and every file that was set aside, by name."""
        return [_kept(path) for path in sorted(self.folder.glob(f"*{SUFFIX}*")) if path.suffix in (SUFFIX, ASIDE)]

    def clean(self) -> tuple[int, int]:
        """Remove all that was built, set aside or left half-written: number of files and bytes. Raises OSError."""
        count = size = 0
        for path in [*self.folder.glob(f"*{SUFFIX}*")]:
            size += path.stat().st_size
            count += path.suffix != ".lock"
            path.unlink()
        return count, size

    def _read(self, path: Path, key: Key) -> Built | None:
        try:
            facts, built = unpacked(path.read_bytes())
            if facts != {"network": key.network, **key.facts}:
                raise Damaged("it says it is another engine")
            return built
        except FileNotFoundError:
            return None
        except Damaged as damage:
            self._set_aside(path, str(damage))
        except OSError as error:
            _log.warning("%s: cannot be read (%s); built again", path, error.strerror)
        return None

    def _set_aside(self, path: Path, why: str) -> None:
        aside = path.with_name(path.name + ASIDE)
        _log.warning("%s: %s; set aside as %s and built again", path, why, aside.name)
        with contextlib.suppress(OSError):
            path.replace(aside)

    def _write(self, path: Path, key: Key, built: Built) -> None:
        """Beside, then renamed; only the holder of the lock writes, so what a killed one left is overwritten."""
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(packed({"network": key.network, **key.facts}, built))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            _log.warning("%s: engine not kept (%s); it will be built again at the next start", path, error.strerror)

    @contextlib.contextmanager
    def _lock(self, path: Path) -> Iterator[bool]:
        """Whether the lock was had. The kernel frees it when its holder dies, however it dies."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            _log.warning(
                "%s: engines are not kept (%s); set %s to another", self.folder, error.strerror, FOLDER_VARIABLE
            )
            yield False
            return
        try:
            yield _locked(file, path)
        finally:
            os.close(file)


def _locked(file: int, path: Path) -> bool:
    end = time.monotonic() + PATIENCE_S
    waited = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                _log.warning("%s: cannot be locked (%s); built without", path, error.strerror)
                return False
        if not waited:
            _log.info("%s: another process builds it; waiting", path.name)
            waited = True
        if time.monotonic() > end:
            _log.warning("%s: still being built after %.0f s; built here too, not kept", path, PATIENCE_S)
            return False
        time.sleep(_TURN_S)


def packed(facts: Mapping[str, str], built: Built) -> bytes:
    """A file of the cache: magic line, one line of JSON, then the engine."""
    digest = hashlib.sha256(built.engine).hexdigest()
    head = {"facts": dict(facts), "note": built.note, "bytes": len(built.engine), "sha256": digest}
    return MAGIC + json.dumps(head, sort_keys=True).encode() + b"\n" + built.engine


def unpacked(data: bytes) -> tuple[dict[str, str], Built]:
    """Facts and contents of a file. Raises Damaged saying what is wrong."""
    if not data.startswith(MAGIC):
        raise Damaged("not an engine of posecast")
    line, _, engine = data[len(MAGIC) :].partition(b"\n")
    facts, note, size, digest = _head(line)
    if len(engine) != size:
        raise Damaged(f"{len(engine)} bytes of {size}")
    if hashlib.sha256(engine).hexdigest() != digest:
        raise Damaged("its contents were altered")
    return facts, Built(note, engine)


def _head(line: bytes) -> tuple[dict[str, str], str, int, str]:
    try:
        head = json.loads(line)
        facts = {str(name): str(value) for name, value in head["facts"].items()}
        return facts, str(head["note"]), int(head["bytes"]), str(head["sha256"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged("its head cannot be read") from error


def _kept(path: Path) -> Kept:
    """By the head alone: an engine may be large."""
    network = path.name.partition(SUFFIX)[0].rpartition("-")[0]
    facts: dict[str, str] = {}
    note = ""
    with contextlib.suppress(Damaged, OSError), path.open("rb") as file:
        if path.suffix != ASIDE and file.readline() == MAGIC:
            facts, note, _, _ = _head(file.readline())
    return Kept(path, network, facts, note, path.stat().st_size)
