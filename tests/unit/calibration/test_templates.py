"""Boards after the rules: dimensions as ruled, points in the world of a Board, measures of a venue."""

import numpy as np
import pytest

from calibration.errors import CalibrationError
from calibration.templates import TEMPLATES, template


def places(row):
    return {mark.name: np.array(mark.world_m) for mark in row.marks}


@pytest.mark.parametrize("row", TEMPLATES, ids=lambda row: row.name)
def test_points_lie_as_the_board_does(row) -> None:
    at = places(row)
    board = row.board
    assert np.allclose((at["front-left"] + at["front-right"]) / 2, 0), (
        "the world begins at the middle of the front edge"
    )
    assert at["front-left"][1] > 0, "y points to the left"
    assert np.isclose(np.linalg.norm(at["front-left"] - at["front-right"]), board.width_m)
    assert np.isclose(np.linalg.norm(at["front-left"] - at["rear-left"]), board.length_m)
    assert at["water-middle"][2] == -board.height_m
    assert (at["rear-left"][0] < 0) and len(at) == len(row.marks) >= 6


@pytest.mark.parametrize(
    ("name", "kind", "sides_m", "overhang_m"),
    [
        ("springboard-1", "springboard", (1.0, 0.5, 4.8), None),
        ("springboard-3", "springboard", (3.0, 0.5, 4.8), None),
        ("platform-3", "platform", (3.0, 0.6, 5.0), 1.25),
        ("platform-5", "platform", (5.0, 1.5, 6.0), 1.25),
        ("platform-7.5", "platform", (7.5, 1.5, 6.0), 1.5),
        ("platform-10", "platform", (10.0, 3.0, 6.0), 1.5),
    ],
)
def test_dimensions_of_the_rules(name, kind, sides_m, overhang_m) -> None:
    """FINA facilities rules FR 5.1.1, 5.2.2 and 5.2.5."""
    row = template(name)
    assert row.board.kind == kind
    assert (row.board.height_m, row.board.width_m, row.board.length_m) == sides_m
    assert row.overhang_m == overhang_m


def test_measures_of_the_venue_replace_the_rules() -> None:
    row = template("springboard-3").measured(width_m=0.51, thickness_m=0.04, overhang_m=1.8)
    at = places(row)
    assert np.isclose(at["front-left"][1], 0.255)
    assert at["front-lower-left"][2] == -0.04
    assert at["pool-edge-left"][0] == -1.8
    assert row.board.height_m == 3.0


def test_wrong_names_and_measures_are_refused() -> None:
    with pytest.raises(CalibrationError, match="did you mean platform-10"):
        template("platform10")
    with pytest.raises(CalibrationError, match="thickness"):
        template("platform-5").measured(thickness_m=-1)
