"""The same pictures give the same poses as when the goldens were made, and each stage alone says the same to the same.

Renewed by `make_golden.py`. Other processors and library versions round differently; a changed network or codec moves
further than the tolerances.
"""

import msgspec
import numpy as np
import pytest

from tests.posecast import require_weights
from tests.replay.make_golden import (
    BUILD,
    FRAMES,
    GOLDEN,
    STAGES_GOLDEN,
    columns,
    differences,
    final_poses,
    outputs_of,
    read_stages,
    said_alone,
    said_by_all,
)

TOLERANCE = {"seq": 0, "box_img_px": 2.0, "joints_img_px": 2.0, "joints_root_m": 0.02}
ALONE = {"_img_px": 1.0, "_m": 0.01, "_m2": 0.01, "_conf": 0.02, "presence": 0.02, "crop": 2.0, "img_from_crop": 1.0}
"""By the ending of a field's name; of any other it is 0."""


def test_poses_equal_the_golden(tmp_path) -> None:
    require_weights()
    found = columns(final_poses(said_by_all(tmp_path)))
    with np.load(GOLDEN) as golden:
        assert len(found["seq"]) == FRAMES
        for name, tolerance in TOLERANCE.items():
            assert np.array_equal(np.isnan(found[name]), np.isnan(golden[name])), name
            difference = np.nanmedian(np.abs(found[name] - golden[name]))
            assert difference <= tolerance, f"{name}: {difference}"


@pytest.mark.parametrize("stage", BUILD)
def test_a_stage_alone_says_what_it_said(stage, tmp_path) -> None:
    require_weights()
    golden = read_stages()
    found = said_alone(stage, tmp_path, golden)
    apart = differences(found, outputs_of(stage, golden))
    assert apart
    for name, difference in apart.items():
        tolerance = next((limit for ending, limit in ALONE.items() if name.endswith(ending)), 0.0)
        assert difference <= tolerance, f"{name}: {difference}"


def test_a_stage_that_says_something_else_is_found() -> None:
    said = read_stages()["encode"]
    seen = [one for one in said if one.joints_img_px]
    moved = [
        msgspec.structs.replace(one, joints_img_px=tuple((u + 3, v) for u, v in one.joints_img_px)) for one in seen
    ]
    assert differences(seen, seen)["joints_img_px"] == 0
    assert differences(moved, seen)["joints_img_px"] > 1
    assert differences([msgspec.structs.replace(one, state="none") for one in seen], seen)["state"] == np.inf
    assert differences([msgspec.structs.replace(one, joints_conf=()) for one in seen], seen)["joints_conf"] == np.inf
    assert differences(seen[1:], seen) == {"messages": np.inf}


def test_the_golden_of_the_stages_is_small() -> None:
    assert STAGES_GOLDEN.stat().st_size < 2_000_000
