"""The ring of pictures: what is written is what is read, overruns are told, a full ring holds the writer back."""

import errno
import multiprocessing
import os
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline import ring as ring_module
from pipeline.errors import OutputError
from pipeline.messages import Frame
from pipeline.picture import Picture
from pipeline.ring import Overrun, Ring, slot_bytes_for

SIZE = (70, 46)


def picture(fill: int, size: tuple[int, int] = SIZE, layout: str = "yuv420p", t_media_ns: int = 0) -> Picture:
    """All samples of one value, so that a torn picture shows."""
    width, height = size
    rows, columns = (height + 1) // 2, (width + 1) // 2
    chroma = [(rows, columns)] * 2 if layout == "yuv420p" else [(rows, 2 * columns)]
    planes = tuple(np.full(shape, fill, np.uint8) for shape in [(height, width), *chroma])
    return Picture(planes, layout, t_media_ns=t_media_ns)


def written(ring: Ring, shown: Picture, seq: int | None = None) -> Frame:
    slot, generation, planes = ring.write(shown, seq)
    return Frame(
        stream="main",
        seq=ring.last_seq,
        t_media_ns=shown.t_media_ns,
        t_capture_ns=0,
        width=shown.width,
        height=shown.height,
        rotation_deg=shown.rotation_deg,
        layout=shown.layout,
        matrix=shown.matrix,
        full_range=shown.full_range,
        planes=planes,
        slot=slot,
        generation=generation,
        rate_hz=25.0,
    )


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ring"


@pytest.fixture
def ring(path) -> Ring:
    return Ring.create(path, 4, slot_bytes_for(*SIZE))


@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
@pytest.mark.parametrize("size", [SIZE, (46, 70), (69, 45), (1, 1)])
def test_a_reader_sees_the_very_samples(ring, path, layout, size) -> None:
    rng = np.random.default_rng(1)
    shown = picture(0, size, layout, t_media_ns=77)
    for plane in shown.planes:
        plane[:] = rng.integers(0, 256, plane.shape)
    frame = written(ring, shown)
    with Ring.attach(path).reading(frame) as seen:
        assert seen.layout == layout
        assert seen.t_media_ns == 77
        assert all(np.array_equal(a, b) for a, b in zip(seen.planes, shown.planes, strict=True))
        assert not any(plane.flags.writeable for plane in seen.planes)
        assert all(plane.base is not None for plane in seen.planes)
    assert not [p for p in frame.planes if p.stride % 64 or p.offset % 64]


def test_view_copies_nothing(ring, path) -> None:
    reader = Ring.attach(path)
    frame = written(ring, picture(1))
    seen = reader.view(frame)
    for seq in range(1, 5):
        written(ring, picture(10 + seq))
    assert seen.planes[0][0, 0] == 14  # the fifth picture lies where the first was


def test_overrun_tells_how_far(ring, path) -> None:
    reader = Ring.attach(path)
    frame = written(ring, picture(1))
    for _ in range(3):
        written(ring, picture(2))
    reader.check(frame)
    for behind in (1, 2, 3):
        for _ in range(4):
            written(ring, picture(3))
        with pytest.raises(Overrun, match="frame 0") as raised:
            reader.check(frame)
        assert raised.value.behind == behind


def test_overrun_while_reading_is_told_on_the_way_out(ring, path) -> None:
    reader = Ring.attach(path)
    frame = written(ring, picture(1))
    with pytest.raises(Overrun), reader.reading(frame):
        for _ in range(4):
            written(ring, picture(2))


def test_a_slot_being_written_is_an_overrun(ring, path) -> None:
    reader = Ring.attach(path)
    frame = written(ring, picture(1))
    for _ in range(3):
        written(ring, picture(2))
    ring._begin(frame.slot)
    with pytest.raises(Overrun):
        reader.check(frame)


def test_a_writer_that_died_inside_a_slot_leaves_a_ring_that_works(ring, path) -> None:
    reader = Ring.attach(path)
    for _ in range(6):
        old = written(ring, picture(1))
    ring._begin(ring._next_slot())
    ring.close()
    successor = Ring.reopen(path, 4, slot_bytes_for(*SIZE))
    assert successor.last_seq == 5
    with reader.reading(old) as seen:
        assert (seen.planes[0] == 1).all()
    for _ in range(5):
        frame = written(successor, picture(9))
        with reader.reading(frame) as seen:
            assert (seen.planes[0] == 9).all()
    assert frame.seq == 10


def test_seq_never_goes_back(ring) -> None:
    written(ring, picture(0), seq=7)
    assert written(ring, picture(0)).seq == 8
    with pytest.raises(ValueError, match="must grow: got 8 after 8"):
        ring.write(picture(0), 8)


def test_media_time_is_kept_for_the_successor(ring, path) -> None:
    written(ring, picture(0, t_media_ns=123_456))
    assert Ring.reopen(path, 4, slot_bytes_for(*SIZE)).last_t_media_ns == 123_456


def test_a_larger_picture_needs_a_new_ring_and_readers_follow(ring, path) -> None:
    reader = Ring.attach(path)
    old = [written(ring, picture(1)) for _ in range(6)][-1]
    with pytest.raises(OutputError, match="640x480 does not fit"):
        ring.write(picture(1, (640, 480)))
    ring.close()
    successor = Ring.reopen(path, 4, slot_bytes_for(640, 480))
    new = written(successor, picture(5, (640, 480)))
    assert new.seq == 6
    with reader.reading(new) as seen:
        assert (seen.planes[0] == 5).all()
    for _ in range(8):  # a message about the old ring never matches a slot of the new one
        with pytest.raises(Overrun), reader.reading(old):
            pass
        written(successor, picture(5, (640, 480)))


def test_backpressure(ring, path) -> None:
    reader = Ring.attach(path)
    for _ in range(4):
        assert ring.wait_writable(0)
        written(ring, picture(0))
    assert not ring.writable()
    assert not ring.wait_writable(0.01)
    reader.release(0)
    assert ring.writable()
    written(ring, picture(0))
    assert not ring.writable()
    reader.release(0)
    assert not ring.writable()


def test_waiting_hears_release_and_stop(ring, path) -> None:
    for _ in range(4):
        written(ring, picture(0))
    assert not ring.wait_writable(10, stop=lambda: True)
    timer = threading.Timer(0.05, Ring.attach(path).release, [3])
    timer.start()
    began = time.monotonic()
    assert ring.wait_writable(10)
    assert time.monotonic() - began < 2
    timer.join()


def test_a_reader_that_starts_again_frees_the_writer_and_knows_its_loss(ring, path) -> None:
    for _ in range(4):
        written(ring, picture(0))
    first = Ring.attach(path)
    assert first.attach_reader() == 4
    assert ring.writable()
    for _ in range(3):
        written(ring, picture(0))
    first.release(4)
    assert Ring.attach(path).attach_reader() == 2
    assert Ring.attach(path).attach_reader() == 0


def test_closing_with_a_picture_in_hand_is_safe(ring, path) -> None:
    reader = Ring.attach(path)
    frame = written(ring, picture(6))
    seen = reader.view(frame)
    reader.close()
    reader.close()
    assert (seen.planes[0] == 6).all()


@pytest.mark.parametrize("content", [b"", b"nonsense" * 64, b"posering" + b"\x63" + bytes(500)])
def test_what_is_not_a_ring_is_refused_in_one_line(path, content) -> None:
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"ring: no ring .*; delete it") as raised:
        Ring.attach(path)
    assert "\n" not in str(raised.value)
    assert Ring.reopen(path, 4, 4096).last_seq == -1  # the writer replaces it


def test_a_ring_that_was_cut_short_is_refused(ring, path) -> None:
    os.truncate(path, 5000)
    with pytest.raises(OutputError, match="cut short"):
        Ring.attach(path)


def test_no_ring_is_refused(path) -> None:
    with pytest.raises(OutputError, match="is capture running"):
        Ring.attach(path)


def test_a_message_that_points_elsewhere_is_refused(ring) -> None:
    frame = written(ring, picture(0))
    for wrong in ({"slot": 4}, {"slot": -1}, {"planes": (msgspec.structs.replace(frame.planes[0], offset=10**6),)}):
        with pytest.raises(ValueError, match="not in this ring"):
            ring.view(msgspec.structs.replace(frame, **wrong))


def test_too_little_memory_is_one_line_with_a_remedy_and_leaves_nothing(path) -> None:
    """More than any machine has: the file system itself says no."""
    with pytest.raises(OutputError, match=r"needs \d+ MiB") as raised:
        Ring.create(path, 256, 2**46)
    assert "\n" not in str(raised.value)
    assert list(path.parent.iterdir()) == []


def test_a_full_dev_shm_says_what_to_lower(path, monkeypatch) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ring_module.os, "posix_fallocate", full)
    with pytest.raises(OutputError, match=r"lower capture\.ring_slots or enlarge /dev/shm"):
        Ring.create(path, 12, slot_bytes_for(1920, 1080))
    assert list(path.parent.iterdir()) == []


def _writes(path: Path, count: int, tickets) -> None:
    ring = Ring.attach(path)
    for seq in range(count):
        tickets.send(written(ring, picture(seq % 251, (640, 480))))
    tickets.send(None)


def test_two_processes_never_show_a_torn_picture(path) -> None:
    """The writer runs as fast as it can and overtakes the reader; every picture that passes the check is whole."""
    Ring.create(path, 4, slot_bytes_for(640, 480))
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    writer = context.Process(target=_writes, args=(path, 600, sender))
    writer.start()
    sender.close()
    reader, whole, overruns = Ring.attach(path), 0, 0
    try:
        while (frame := receiver.recv()) is not None:
            value = frame.seq % 251
            try:
                seen = reader.view(frame)
                reader.check(frame)
                intact = all((plane == value).all() for plane in seen.planes)
                reader.check(frame)
            except Overrun:
                overruns += 1
                continue
            assert intact, frame.seq
            whole += 1
            time.sleep(0.0005)
    finally:
        writer.join(20)
        receiver.close()
    assert writer.exitcode == 0
    assert whole + overruns == 600
    assert whole > 0
    assert overruns > 0
