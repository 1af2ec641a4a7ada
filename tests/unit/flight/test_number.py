"""Dive numbers from noisy joints: the likeliest is right, and the probabilities know what they do not know."""

import dataclasses

import numpy as np
import pytest

from flight.code import DiveCode
from flight.number import doubtful, numbers, rounded
from flight.report import Estimate
from tests.dives_noisy import PLAIN, TWISTING, dived, ends, noisy, seen_badly, shares_right, told, view_of


@pytest.fixture(scope="module")
def forward():
    dive = dived("107B", 10.0)
    return dive, *told(dive, noisy(dive, np.random.default_rng(1))[0], *ends(dive))


def test_every_group_is_told_from_joints_with_3_cm_of_noise():
    dives = [dived(*dive) for dive in (*PLAIN, *TWISTING[::2])]
    assert set(range(1, 7)) == {dive.code.group for dive in dives}
    shares = shares_right(dives, np.random.default_rng(2))
    assert shares == {"somersaults": 1, "twists": 1, "number": 1, "position": 1}


def test_most_are_told_from_what_a_network_sees_of_a_small_body():
    dives = [dived(*dive) for dive in PLAIN[::2]]
    shares = shares_right(dives, np.random.default_rng(3), badly=True)
    assert shares["somersaults"] >= 0.93
    assert shares["twists"] >= 0.93
    assert shares["number"] >= 0.86


def test_probabilities(forward):
    _, turned, bent, guesses = forward
    assert guesses[0].code == "107B"
    assert guesses[0].probability > 0.95
    assert sum(guess.probability for guess in guesses) <= 1 + 1e-9
    assert [guess.probability for guess in guesses] == sorted((guess.probability for guess in guesses), reverse=True)
    assert rounded(turned) == (3.5, 0)
    assert doubtful(turned) == (False, False)
    assert bent.position == "pike"


def test_a_direction_that_may_be_the_opposite_halves_the_probability(forward):
    _, turned, bent, _ = forward
    found = {guess.code: guess.probability for guess in numbers(turned, bent, outward_sure=0.6)}
    assert found["107B"] == pytest.approx(0.6, abs=0.03)
    # From the other side a forward dive is an inward one.
    assert found["407B"] == pytest.approx(0.4, abs=0.03)


def test_armstands_need_a_platform(forward):
    _, turned, bent, _ = forward
    codes = {guess.code for guess in numbers(turned, bent, inverted=0.5)}
    assert codes >= {"107B", "617B"}
    assert {guess.code for guess in numbers(turned, bent, inverted=0.5, board_height_m=3.0)} == {"107B"}


def test_counts_far_from_a_half_are_doubtful(forward):
    _, turned, bent, _ = forward
    short = dataclasses.replace(turned, somersault=Estimate(3.32, 0.02), twist=Estimate(0.16, 0.02))
    assert doubtful(short) == (True, True)
    assert numbers(short, bent)[0].code == "107B"


def test_what_has_no_number_gets_none(forward):
    _, turned, bent, _ = forward
    assert numbers(dataclasses.replace(turned, counts={(0, 0, 0): 1.0}), bent) == ()


def test_all_guesses_are_dives_somebody_can_make():
    dive, rng = dived("5253B", 3.0), np.random.default_rng(4)
    view = view_of(rng)
    _, _, guesses = told(dive, seen_badly(dive, rng, view, 0.12), *ends(dive, rng), view)
    assert len(guesses) > 1
    for guess in guesses:
        assert str(DiveCode.parse(guess.code)) == guess.code
