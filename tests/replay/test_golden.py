"""The same pictures give the same poses as when the golden was made; renewed by `make_golden.py`."""

import numpy as np

from tests.posecast import require_weights
from tests.replay.make_golden import FRAMES, GOLDEN, columns, poses

TOLERANCE = {"seq": 0, "box_img_px": 2.0, "joints_img_px": 2.0, "joints_root_m": 0.02}
"""Other processors and library versions round differently; a changed network or codec moves further."""


def test_poses_equal_the_golden(tmp_path) -> None:
    require_weights()
    found = columns(poses(tmp_path))
    with np.load(GOLDEN) as golden:
        assert len(found["seq"]) == FRAMES
        for name, tolerance in TOLERANCE.items():
            assert np.array_equal(np.isnan(found[name]), np.isnan(golden[name])), name
            difference = np.nanmedian(np.abs(found[name] - golden[name]))
            assert difference <= tolerance, f"{name}: {difference}"
