"""Any interleaving of writing, reading, releasing, dying and restarting: the exact bytes or `Overrun`, never else."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.messages import Frame
from pipeline.picture import Picture
from pipeline.ring import Overrun, Ring, slot_bytes_for

LARGEST = 24


class RingMachine(RuleBasedStateMachine):
    """A writer whose writes are split into their steps, and a reader that looks in between."""

    frames = Bundle("frames")

    @initialize(slots=st.integers(2, 5))
    def create(self, slots: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ring"
        self.slots = slots
        self.size = LARGEST
        self.writer = Ring.create(self.path, slots, slot_bytes_for(LARGEST, LARGEST))
        self.reader = Ring.attach(self.path)
        self.writer_is_dead = False
        self.newest = -1
        self.content: dict[int, bytes] = {}
        self.rings: list[dict[int, int]] = [{}]  # of each ring made: slot to the seq that lies there complete
        self.reader_ring = 0

    def teardown(self) -> None:
        self.writer.close()
        self.reader.close()
        self.folder.cleanup()

    def _picture(self, width: int, height: int, seed: int) -> Picture:
        rng = np.random.default_rng(seed)
        chroma = ((height + 1) // 2, (width + 1) // 2)
        shapes = [(height, width), chroma, chroma]
        return Picture(tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes), "yuv420p")

    @precondition(lambda self: not self.writer_is_dead)
    @rule(
        target=frames,
        width=st.integers(1, LARGEST),
        height=st.integers(1, LARGEST),
        seed=st.integers(0, 1000),
        skip=st.integers(0, 3),
    )
    def write(self, width: int, height: int, seed: int, skip: int) -> Frame:
        picture = self._picture(width, height, seed)
        self.newest += 1 + skip
        slot, generation, planes = self.writer.write(picture, self.newest)
        self.content[self.newest] = b"".join(plane.tobytes() for plane in picture.planes)
        self.rings[-1][slot] = self.newest
        return Frame(
            stream="main",
            seq=self.newest,
            t_media_ns=0,
            t_capture_ns=0,
            width=width,
            height=height,
            rotation_deg=0,
            layout="yuv420p",
            matrix="bt709",
            full_range=False,
            planes=planes,
            slot=slot,
            generation=generation,
            rate_hz=25.0,
        )

    @precondition(lambda self: not self.writer_is_dead)
    @rule(fill=st.integers(0, 255))
    def die_half_way_through_a_write(self, fill: int) -> None:
        slot = self.writer._next_slot()
        self.writer._begin(slot)
        self.writer._pixels[slot, : self.writer.slot_bytes // 2] = fill
        self.rings[-1].pop(slot, None)
        self.writer.close()
        self.writer_is_dead = True

    @precondition(lambda self: self.writer_is_dead)
    @rule()
    def start_again(self) -> None:
        self.writer = Ring.reopen(self.path, self.slots, slot_bytes_for(self.size, self.size))
        self.writer_is_dead = False
        assert self.writer.last_seq == self.newest

    @precondition(lambda self: not self.writer_is_dead and self.size < 4 * LARGEST)
    @rule()
    def start_again_with_a_larger_ring(self) -> None:
        self.size *= 4
        self.writer.close()
        self.writer = Ring.reopen(self.path, self.slots, slot_bytes_for(self.size, self.size))
        self.rings.append({})

    @rule(frame=frames)
    def read(self, frame: Frame) -> None:
        if frame.seq > self.reader.last_seq:
            self.reader_ring = len(self.rings) - 1  # the reader has to notice by itself
        is_there = self.rings[self.reader_ring].get(frame.slot) == frame.seq
        try:
            with self.reader.reading(frame) as seen:
                got = b"".join(plane.tobytes() for plane in seen.planes)
        except Overrun as overrun:
            assert overrun.behind >= 1
            assert not is_there
            return
        assert is_there
        assert got == self.content[frame.seq]

    @rule(frame=frames)
    def release(self, frame: Frame) -> None:
        before = self.reader.released_seq
        self.reader.release(frame.seq)
        assert self.reader.released_seq == max(before, frame.seq)

    @rule()
    def reader_starts_again(self) -> None:
        self.reader.close()
        self.reader = Ring.attach(self.path)
        self.reader_ring = len(self.rings) - 1
        pending = sum(seq > self.reader.released_seq for seq in self.rings[-1].values())
        assert self.reader.attach_reader() >= pending
        assert self.reader.released_seq == self.reader.last_seq

    @precondition(lambda self: hasattr(self, "writer") and not self.writer_is_dead)
    @invariant()
    def a_slot_is_free_exactly_if_its_frame_was_released(self) -> None:
        held = self.rings[-1].get(self.writer._next_slot())
        if held is not None:
            assert self.writer.writable() == (held <= self.writer.released_seq)


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
