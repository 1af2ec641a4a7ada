"""Decoded pictures in shared memory: one writer, readers that copy nothing, no torn picture unnoticed.

The ring is a file (in /dev/shm, in a folder the supervisor removes), mapped by every process that needs it.
Python's `multiprocessing.shared_memory` is not used: its resource tracker unlinks what another process still
owns.

    header   16 int64: magic, version, slots, slot bytes, data offset, newest seq, released seq, writes,
             newest media time
    table    int64 per slot: generation, then int64 per slot: seq
    slots    slots x slot bytes, page aligned

A slot's generation is odd while the slot is being written and even when it is complete (a sequence lock). A
message names slot and generation; a reader compares the generation before and after it looked at the
pixels. If both times it is the message's, nobody wrote in between; otherwise `Overrun` tells by how many
pictures the reader was late.

Why this holds: every field is an aligned 8-byte word, which numpy loads and stores with one instruction, so
a field is never seen half written. Order matters too: odd generation, pixels, even generation in the
writer; generation, pixels, generation in the reader. x86-64 keeps stores in order among themselves and
loads among themselves. ARM does not, so `_ordered` stands between the steps: two lock round trips, whose
acquire and release together let no access pass. Moreover a reader only learns of a slot through a socket,
which orders all that came before. Neither Python nor numpy promises any of this; the tests try it with two
processes. A writer that dies inside a slot leaves its generation odd: readers of the old picture see
`Overrun`, the next writer goes on from there.
"""

import errno
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import OutputError
from pipeline.messages import Frame, Plane
from pipeline.picture import Picture

MAGIC: Final = int.from_bytes(b"posering", "little")
VERSION: Final = 1
_PAGE: Final = 4096
_ALIGN: Final = 64
_WORDS: Final = 16
_MAGIC, _VERSION, _SLOTS, _SLOT_BYTES, _DATA, _LAST, _RELEASED, _WRITES, _T_MEDIA = range(9)
_POLL_S: Final = 0.0005
_lock: Final = threading.Lock()

Words = npt.NDArray[np.int64]


class Overrun(Exception):
    """The slot was written again before the reader was done; `behind` is by how many pictures of this
    slot."""

    def __init__(self, seq: int, behind: int) -> None:
        super().__init__(f"frame {seq} was overwritten in the ring: its slot is {behind} picture(s) further")
        self.seq = seq
        self.behind = behind


def _ordered() -> None:
    for _ in range(2):
        _lock.acquire()
        _lock.release()


def _rounded(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def slot_bytes_for(width: int, height: int) -> int:
    """Bytes that hold a picture of this size (either way up) in any layout the ring takes, rows
    64-aligned."""

    def upright(columns: int, rows: int) -> int:
        chroma = _rounded((columns + 1) // 2, _ALIGN) * ((rows + 1) // 2)
        return _rounded(columns, _ALIGN) * rows + 2 * chroma

    return max(upright(width, height), upright(height, width))


@dataclass(frozen=True, slots=True)
class _Past:
    last_seq: int = -1
    t_media_ns: int = -1
    generation: int = 0


class Ring:
    """One mapped ring. `create` or `reopen` it in the writer, `attach` to it in readers."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._map()

    def _map(self) -> None:
        with self.path.open("rb" if self._read_only else "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            head = np.frombuffer(file.read(_WORDS * 8).ljust(_WORDS * 8, b"\0"), np.int64)
            if head[_MAGIC] != MAGIC or head[_VERSION] != VERSION:
                raise OutputError(f"{self.path}: no ring of this posecast; delete it and start again")
            self.slots, self.slot_bytes = int(head[_SLOTS]), int(head[_SLOT_BYTES])
            if size < int(head[_DATA]) + self.slots * self.slot_bytes:
                raise OutputError(f"{self.path}: the ring is cut short; delete it and start again")
            access = mmap.ACCESS_READ if self._read_only else mmap.ACCESS_WRITE
            self._memory = mmap.mmap(file.fileno(), size, access=access)
        self._head: Words = np.frombuffer(self._memory, np.int64, _WORDS)
        table = np.frombuffer(self._memory, np.int64, 2 * self.slots, _WORDS * 8)
        self._generation: Words = table[: self.slots]
        self._seq: Words = table[self.slots :]
        pixels = np.frombuffer(self._memory, np.uint8, self.slots * self.slot_bytes, int(head[_DATA]))
        self._pixels = pixels.reshape(self.slots, self.slot_bytes)

    @classmethod
    def create(cls, path: Path, slots: int, slot_bytes: int) -> "Ring":
        """New ring at `path`, replacing one there, in one step. Raises OutputError if memory is short."""
        return cls._created(path, slots, slot_bytes, _Past())

    @classmethod
    def _created(cls, path: Path, slots: int, slot_bytes: int, past: "_Past") -> "Ring":
        if slots < 2:
            raise ValueError(f"a ring needs at least 2 slots, got {slots}")
        slot_bytes = _rounded(slot_bytes, _PAGE)
        data = _rounded((_WORDS + 2 * slots) * 8, _PAGE)
        head = np.zeros(_WORDS + 2 * slots, np.int64)
        head[:_LAST] = MAGIC, VERSION, slots, slot_bytes, data
        head[_LAST], head[_RELEASED], head[_T_MEDIA] = past.last_seq, past.last_seq, past.t_media_ns
        head[_WORDS : _WORDS + slots] = past.generation
        head[_WORDS + slots :] = -1
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            _reserve(unfinished, data + slots * slot_bytes, head.tobytes())
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise OutputError(_short_of_memory(path, slots, slot_bytes, error)) from error
        return cls(path)

    @classmethod
    def reopen(cls, path: Path, slots: int, slot_bytes: int) -> "Ring":
        """The ring at `path` if it is fit for this geometry, otherwise a new one; seq goes on from the old
        one's."""
        try:
            ring = cls(path)
        except (OSError, OutputError):
            return cls.create(path, slots, slot_bytes)
        if ring.slots == slots and ring.slot_bytes >= slot_bytes:
            return ring
        # Generations go on too, or a message about the old ring could match a slot of the new one.
        generation = _rounded(int(ring._generation.max()) + 1, 2)
        past = _Past(ring.last_seq, ring.last_t_media_ns, generation)
        ring.close()
        return cls._created(path, slots, slot_bytes, past)

    @classmethod
    def attach(cls, path: Path, *, read_only: bool = False) -> "Ring":
        """The ring at `path`, now; who attaches `read_only` can release nothing, and nobody waits for them.

        Raises OutputError if there is none or it is of another version.
        """
        try:
            return cls(path, read_only=read_only)
        except OSError as error:
            raise OutputError(f"{path}: no ring of pictures ({error.strerror}); is capture running?") from error

    def close(self) -> None:
        """Unmap, as soon as no picture of it is looked at any more. The file stays."""
        empty = np.zeros(0, np.int64)
        self._head = self._generation = self._seq = empty
        self._pixels = np.zeros((0, 0), np.uint8)
        with suppress(BufferError):  # a picture still looks at it: unmapped when that is gone
            self._memory.close()

    # -- both sides ------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """Newest frame written, -1 before the first."""
        return int(self._head[_LAST])

    @property
    def last_t_media_ns(self) -> int:
        """Media time of the newest frame, -1 before the first."""
        return int(self._head[_T_MEDIA])

    @property
    def released_seq(self) -> int:
        """Newest frame the reader is done with, -1 before the first."""
        return int(self._head[_RELEASED])

    # -- the writer ------------------------------------------------------------------------------------------

    def write(self, picture: Picture, seq: int | None = None) -> tuple[int, int, tuple[Plane, ...]]:
        """Copy the planes into the next slot; slot, generation and planes for the message.

        `seq` defaults to the next one and must grow. Raises OutputError if the picture does not fit a slot.
        """
        seq = self.last_seq + 1 if seq is None else seq
        if seq <= self.last_seq:
            raise ValueError(f"seq must grow: got {seq} after {self.last_seq}")
        planes = self._layout(picture)
        slot = self._next_slot()
        self._begin(slot)
        for plane, source in zip(planes, picture.planes, strict=True):
            np.copyto(self._plane(slot, plane), source)
        return slot, self._commit(slot, seq, picture.t_media_ns), planes

    def _next_slot(self) -> int:
        return int(self._head[_WRITES]) % self.slots

    def _begin(self, slot: int) -> None:
        self._generation[slot] = (int(self._generation[slot]) + 1) | 1
        _ordered()

    def _commit(self, slot: int, seq: int, t_media_ns: int) -> int:
        _ordered()
        generation = int(self._generation[slot]) + 1
        self._seq[slot] = seq
        self._generation[slot] = generation
        self._head[_T_MEDIA] = t_media_ns
        self._head[_LAST] = seq
        self._head[_WRITES] += 1
        return generation

    def _layout(self, picture: Picture) -> tuple[Plane, ...]:
        planes, offset = [], 0
        for source in picture.planes:
            height, width = source.shape
            stride = _rounded(width, _ALIGN)
            planes.append(Plane(offset, stride, width, height))
            offset += stride * height
        if offset > self.slot_bytes:
            size = f"{picture.coded_width}x{picture.coded_height}"
            raise OutputError(f"{self.path}: a picture of {size} does not fit; restart with this source")
        return tuple(planes)

    def writable(self) -> bool:
        """Whether the reader is done with what the next write would replace."""
        return int(self._seq[self._next_slot()]) <= self.released_seq

    def wait_writable(self, timeout_s: float, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait until `writable`; False if `stop` said so or time ran out. For replay, where nothing may be
        lost."""
        end = time.monotonic() + timeout_s
        while not self.writable():
            if stop() or time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        return True

    # -- the reader ------------------------------------------------------------------------------------------

    def attach_reader(self) -> int:
        """For a reader that starts again: release everything written so far; how many frames that lost.

        Without it a writer in replay would wait for frames that died with the former reader.
        """
        lost = int(np.count_nonzero(self._seq > self.released_seq))
        self.release(self.last_seq)
        return lost

    def release(self, seq: int) -> None:
        """The reader is done with `seq` and all frames before it."""
        if seq > self.released_seq:
            self._head[_RELEASED] = seq

    def check(self, frame: Frame) -> None:
        """Raises Overrun if the frame's slot was written again, or is being written. Call it after the last
        look."""
        _ordered()
        now = int(self._generation[frame.slot])
        if now != frame.generation or int(self._seq[frame.slot]) != frame.seq:
            raise Overrun(frame.seq, max(1, (now - frame.generation + 1) // 2))

    def view(self, frame: Frame) -> Picture:
        """The frame's picture where it lies, read-only, no copy. What it shows holds if `check` passes
        afterwards.

        Raises ValueError if the frame does not describe a picture of this ring.
        """
        if frame.seq > self.last_seq:
            self._remap()
        planes = tuple(self._plane(frame.slot, plane) for plane in frame.planes)
        for plane in planes:
            plane.flags.writeable = False
        return Picture(planes, frame.layout, frame.matrix, frame.full_range, frame.rotation_deg, frame.t_media_ns)

    @contextmanager
    def reading(self, frame: Frame) -> Iterator[Picture]:
        """`view`, checked on the way in and on the way out. Raises Overrun."""
        picture = self.view(frame)
        self.check(frame)
        yield picture
        self.check(frame)

    def _remap(self) -> None:
        # A frame newer than the ring's newest comes from a ring that a restarted capture put in this one's
        # place.
        self.close()
        self._map()

    def _plane(self, slot: int, plane: Plane) -> npt.NDArray[np.uint8]:
        end = plane.offset + plane.stride * plane.height
        inside = 0 <= slot < self.slots and plane.offset >= 0 and end <= self.slot_bytes
        if not inside or plane.width > plane.stride:
            raise ValueError(f"{self.path}: slot {slot} with {plane} is not in this ring")
        rows = self._pixels[slot, plane.offset : end].reshape(plane.height, plane.stride)
        return rows[:, : plane.width]


def _reserve(path: Path, size: int, head: bytes) -> None:
    # posix_fallocate takes the memory now: a sparse file would kill the writer with SIGBUS when memory runs
    # out.
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        file.write(head)


def _short_of_memory(path: Path, slots: int, slot_bytes: int, error: OSError) -> str:
    need = f"a ring of {slots} pictures needs {slots * slot_bytes / 2**20:.0f} MiB"
    if error.errno != errno.ENOSPC:
        return f"{path}: {need} and cannot be made ({error.strerror}); check that the folder can be written"
    return f"{path}: {need}, more than is free; lower capture.ring_slots or enlarge /dev/shm"
