"""The page of a dive: one file that stands alone, with the numbers in it, for all dives and for half of one."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from flight.report import Estimate, Flag
from pipeline.edges.dive_page import dive_page, jump_page
from pipeline.edges.plot import LEFT_HEX, RIGHT_HEX
from tests import dives

VOID = {"meta"}


class Page(HTMLParser):
    """Checks that tags close in order, and keeps what a person and a browser find."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.tags = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag, kind=""):
        return sum(name == tag and kind in attributes.get("class", "") for name, attributes in self.tags)


@pytest.fixture(scope="module")
def dive():
    return dives.true_dive("103C", 3.0, seed=3)


@pytest.fixture(scope="module")
def page(dive):
    return dive_page(dive, "dive-1", "clip.mp4")


def test_the_page_stands_alone(page):
    read = Page(page)
    assert not re.search(r"https?://|//\w|@import|url\(", page.replace("<!DOCTYPE html>", ""))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in read.tags}
    assert not any("src" in attributes or "href" in attributes for _, attributes in read.tags)
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page
    assert LEFT_HEX in page
    assert RIGHT_HEX in page


def test_the_headline_says_number_words_board_and_how_sure(page):
    text = Page(page).text
    for words in ("103C", "Forward 1½ somersaults, tuck", "3 m springboard", "93 %", "next 103B, 4 %"):
        assert words in text


def test_the_numbers_are_there_with_their_uncertainty(dive, page):
    text, report = Page(page).text, dive.report
    for name, estimate, digits in (
        ("Flight time", report.flight_time_s, 3),
        ("Peak above board", report.apex_above_board_m, 2),
        ("Opening height", report.opening_above_water_m, 2),
        ("Entry distance", report.distance_entry_m, 2),
        ("Safety clearance", report.clearance_m, 2),
        ("Take-off speed", report.take_off_speed_m_s, 2),
        ("Take-off angle", report.take_off_angle_deg, 1),
        ("Somersaults turned", report.somersaults_turned, 2),
        ("Entry speed", report.entry_speed_m_s, 2),
        ("Stature", report.stature_m, 2),
    ):
        shown = rf"{name} {estimate.value:.{digits}f} .{{0,5}}± {estimate.sd:.{digits}f}"
        assert re.search(shown, text), shown
    assert "right wrist" in text
    assert Page(page).count("section", "tile safety") == 1
    assert f"{report.peak_somersault_deg_s:.0f}" in text
    assert "tuck 93 %" in text


def test_nothing_to_object_only_without_flags(dive, page):
    assert "Nothing to object" in Page(page).text
    doubted = Page(dive_page(dives.changed(dive, flags=(Flag("unseen", "Seen in 71 % only."),)), "dive-1"))
    assert "Seen in 71 % only." in doubted.text
    assert "Nothing to object" not in doubted.text


def test_a_guessed_camera_is_an_objection(dive):
    guessed = dives.without_board(dive)
    text = Page(dive_page(dives.changed(guessed, flags=guessed.report.flags[:2]), "dive-1")).text
    assert "Nothing to object" not in text
    assert "Read with care" not in text


@pytest.mark.parametrize("guessed_m", [None, 3.0])
def test_without_calibration_one_sentence_says_what_is_missing(dive, guessed_m):
    text = Page(dive_page(dives.without_board(dive, guessed_m), "dive-1")).text
    assert text.count("estimates from the fall itself") == 1
    assert "Seen" not in text
    assert "seen in 71 %" in text  # the flag that says something else stays
    assert "The camera was not calibrated." not in text
    assert "Safety clearance" not in text
    assert "Entry distance" not in text
    assert ("judged by the fall" if guessed_m else "board not known") in text
    assert "metres from the take-off" in text
    assert "Could not be measured: stature." in text
    assert "93 % sure" in text
    assert "next" not in text


def test_a_measured_board_without_its_numbers_says_so(dive):
    text = Page(dive_page(dives.changed(dive, clearance_m=None, opening_s=None), "dive-1")).text
    assert "Could not be measured: opening before the entry, safety clearance." in text
    assert "metres from the board's edge" in text


@pytest.mark.parametrize(
    ("code", "height_m", "words"),
    [("5253B", 3.0, "Back 2½ somersaults, 1½ twists, pike"), ("626C", 10.0, "Armstand back 3 somersaults, tuck"),
     ("401A", 1.0, "Inward dive, straight")],
)  # fmt: skip
def test_all_kinds_of_dives_are_drawn(code, height_m, words):
    dive = dives.true_dive(code, height_m, seed=5, noise_m=0.02)
    read = Page(dive_page(dive, "dive-1"))
    assert words in read.text
    assert read.count("svg") == 3
    moments = 5 if "opens" in read.text else 3
    assert moments == (3 if code == "401A" else 5)
    # The poses of the moments in both views and in the strip, faint ones between, and one group for the legend.
    assert read.count("g", "pose") >= 3 * moments + 1
    assert ("Twist at its fastest" in read.text) == (code == "5253B")


def spans(page, kind):
    """Extent across and up of each line of a style, pixels."""
    found = []
    for path in re.findall(rf'<path d="([^"]*)" class="{kind}"', page):
        points = np.array([[float(one) for one in point.split()] for point in re.split("[ML]", path)[1:]])
        found.append(np.ptp(points, axis=0))
    return found


def test_the_way_is_to_scale_from_the_side_and_from_the_front(dive, page):
    """A dive without twist stays in the plane of the board; both views have one scale."""
    side, front = spans(page, "fall")
    curves = dive.curves
    flown = np.ptp(curves.fall_world_m[curves.flying], axis=0)
    assert side[0] / side[1] == pytest.approx(flown[0] / flown[2], rel=0.01)
    assert front[1] == side[1]
    assert front[0] < 1


def test_a_twist_is_drawn_in_its_own_sense():
    dive = dives.true_dive("5253B", 3.0, seed=5)
    other = replace(dive.curves, twist_turns=-dive.curves.twist_turns, twist_deg_s=-dive.curves.twist_deg_s)
    assert dive_page(replace(dive, curves=other), "dive-1") == dive_page(dive, "dive-1")


@pytest.mark.parametrize("fields", ["joints_world_m", "centre_world_m", "fall_world_m", "hip_deg", "twist_turns"])
def test_curves_that_are_not_known_are_left_out(dive, fields):
    unknown = replace(dive.curves, **{fields: np.full_like(getattr(dive.curves, fields), np.nan)})
    read = Page(dive_page(replace(dive, curves=unknown), "dive-1"))
    assert "nan" not in read.text.lower()
    assert not any("nan" in str(value) for _, attributes in read.tags for value in attributes.values())
    assert read.count("svg") == (2 if fields == "joints_world_m" else 3)


def test_numbers_that_are_not_known_are_left_out(dive):
    nothing = Estimate(math.nan, math.nan)
    unknown = dives.changed(
        dive, momentum_consistency=math.nan, entry_hip_deg=math.nan, peak_somersault_deg_s=math.nan, numbers=(),
        take_off_fall_s=nothing, entry_angle_deg=nothing, somersaults_turned=nothing, apex_s=math.nan,
    )  # fmt: skip
    text = Page(dive_page(unknown, "dive-1")).text
    assert "nan" not in text.lower()
    for name in ("Steadiness", "Hip and knee at entry", "Somersault at its fastest", "Entry angle", "peak"):
        assert name not in text.replace("from take-off to peak", "").replace("Distance at the peak", "")
    assert "1½ somersaults, no twist, tuck" in text


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_hardly_any_frame_is_no_trouble(dive, frames):
    parts = {name: getattr(dive.curves, name)[20 : 20 + frames] for name in dive.curves.__slots__}
    read = Page(dive_page(replace(dive, curves=type(dive.curves)(**parts)), "dive-1"))
    assert ("no frame to draw" in read.text) == (frames == 0)


def test_names_are_text_and_never_code(dive):
    bad = '<script>alert("1")</script>&.mp4'
    named = dives.changed(dive, flags=(Flag("odd", bad),), clearance_joint=bad)
    for page in (dive_page(named, bad, bad), jump_page(dives.jump_of(named), bad, bad)):
        assert "<script" not in page
        assert bad in Page(page).text


def test_a_jump_says_what_it_was(dive):
    text = Page(jump_page(dives.jump_of(dive), "jump-1")).text
    height = 9.81 * dive.report.flight_time_s.value**2 / 8
    assert "1½ somersaults, no twist" in text
    assert re.search(rf"Height {height:.2f} m ± 0.03", text)
    assert "landing" in text
    assert "from the front" in text
