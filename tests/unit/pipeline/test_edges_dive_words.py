"""How numbers and dives are put into words, and how labels keep clear of each other."""

import math
from itertools import pairwise

import numpy as np
import pytest

from pipeline.edges import dive_svg as svg
from pipeline.edges.dive_text import board_words, counted, dive_words, halves, number, percent, spread


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("107B", "Forward 3½ somersaults, pike"),
        ("101A", "Forward dive, straight"),
        ("202C", "Back 1 somersault, tuck"),
        ("113B", "Forward flying 1½ somersaults, pike"),
        ("5111A", "Forward dive, ½ twist, straight"),
        ("5337D", "Reverse 1½ somersaults, 3½ twists, free"),
        ("612B", "Armstand forward 1 somersault, pike"),
        ("6243D", "Armstand back 2 somersaults, 1½ twists, free"),
        ("salto", ""),
    ],
)
def test_a_dive_number_in_words(code, words):
    assert dive_words(code) == words


@pytest.mark.parametrize(
    ("turns", "said"),
    [(0, "no twist"), (0.5, "½ twist"), (-1.02, "1 twist"), (1.5, "1½ twists"), (math.nan, "? twists")],
)
def test_turns_are_counted_in_halves(turns, said):
    assert counted(turns, "twist") == said
    assert halves(3.49) == "3½"


@pytest.mark.parametrize(
    ("height_m", "said"),
    [(1, "1 m springboard"), (3.06, "3 m springboard"), (7.5, "7.5 m platform"), (9.9, "10 m platform"),
     (4.2, "4.2 m platform"), (None, ""), (math.nan, "")],
)  # fmt: skip
def test_a_board_is_named_after_its_height(height_m, said):
    assert board_words(height_m) == said


def test_numbers_have_their_digits_and_a_true_minus():
    assert number(-1.234, 1) == "−1.2"
    assert number(-0.001, 2) == "0.00"
    assert number(math.nan, 2) == "not known"
    assert spread(0.0123, 3) == "± 0.012"
    assert spread(0.0004, 2) == "± less than 0.01"
    assert spread(math.nan, 2) == ""
    assert [percent(share) for share in (0.934, 0.997, 1.0, 0.001, 0.0)] == [
        "93 %", "over 99 %", "100 %", "under 1 %", "0 %",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "most", "want"),
    [(0, 190, 5, [0, 50, 100, 150]), (-0.2, 1.1, 9, [-0.2, 0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-10.9, 2.3, 9, None)],
)
def test_ticks_are_round_and_few(low, high, most, want):
    values, step = svg.ticks(low, high, most)
    assert 2 <= len(values) <= most
    assert low <= values[0] + 1e-9
    assert values[-1] <= high + 1e-9
    if want:
        assert values == pytest.approx(want)
    texts = [svg.tick_text(value, step) for value in values]
    assert len(set(texts)) == len(texts)


def test_labels_keep_clear_of_each_other_and_of_the_edges():
    rng = np.random.default_rng(4)
    for _ in range(200):
        count = int(rng.integers(1, 6))
        wanted, sizes = rng.uniform(0, 300, count).tolist(), rng.uniform(10, 50, count).tolist()
        places = svg.apart(wanted, sizes, 0, 300)
        order = np.argsort(wanted, kind="stable")
        for a, b in pairwise(order):
            assert places[b] - places[a] >= (sizes[a] + sizes[b]) / 2 - 1e-9
        for place, size in zip(places, sizes, strict=True):
            assert place - size / 2 >= -1e-9
            assert place + size / 2 <= 300 + 1e-9


def test_labels_with_room_stay_where_they_are_wanted():
    assert svg.apart([50.0, 150.0], [20.0, 20.0], 0, 300) == [50.0, 150.0]
    assert svg.apart([], [], 0, 300) == []


def test_a_line_breaks_where_a_value_is_missing():
    y = np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    assert svg.curve(np.arange(5.0), y, "hip").count("M") == 2
    assert svg.curve(np.arange(5.0), np.full(5, np.nan), "hip") == ""
