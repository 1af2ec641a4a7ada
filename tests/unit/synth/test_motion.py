"""Motion capture that cannot be used is refused in one line that names the file and what it should hold."""

import numpy as np
import pytest

from training.synth.motion import MocapError, read_mocap

GOOD = np.zeros((4, 17, 3), np.float32)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (None, "not a whole .npz file"),
        ({"ok": np.ones(4, bool)}, "no array 'pos17'"),
        ({"pos17": np.zeros((4, 16, 3))}, r"pos17 is \(4, 16, 3\)"),
        ({"pos17": GOOD, "ok": np.ones(3, bool)}, r"ok \(3,\)"),
        ({"pos17": GOOD, "ok": np.zeros(4, bool)}, "no frame .* is marked ok"),
        ({"pos17": np.full((4, 17, 3), "x")}, "holds no numbers"),
    ],
)
def test_motion_capture_that_cannot_be_used_is_refused(tmp_path, arrays, said):
    if arrays is None:
        (tmp_path / "a.npz").write_bytes(b"no archive")
    else:
        np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(MocapError, match=said) as refused:
        read_mocap(tmp_path)
    assert "\n" not in str(refused.value)


def test_frames_marked_as_glitches_are_left_out(tmp_path):
    np.savez(tmp_path / "a.npz", pos17=GOOD, ok=np.array([True, False, True, True]))
    np.savez(tmp_path / "b.npz", pos17=GOOD)
    assert len(read_mocap(tmp_path).joints_m) == 7
