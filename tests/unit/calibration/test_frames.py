"""The one table of frames of reference."""

from pathlib import Path

import pytest

import calibration
from calibration.frames import FRAMES, frame, table


def test_the_readme_holds_the_table():
    readme = Path(calibration.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert table() in readme
    assert readme.count("| frame |") == 1


def test_frames_are_found_by_name():
    assert [row.name for row in FRAMES] == ["world", "cam", "root", "img", "crop"]
    assert frame("cam").axes == "x right, y down, z forward"
    with pytest.raises(KeyError, match="have world, cam"):
        frame("camera")
