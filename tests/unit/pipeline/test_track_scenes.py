"""Several people in view: the diver is the one who falls. By scenes in which people are boxes, with all faults of a
detector; and what the figures of such scenes count."""

import numpy as np
import pytest

from pipeline.config import TrackSettings
from pipeline.rehearsal import Scene, rehearsed
from training.synth import trackscenes
from training.synth.trackscenes import RATE_HZ, track_scenes

SIZE_PX = (480, 270)
METRE_PX = 25.0
FRAMES = 190
TAKE_OFF, ENTRY = 60, 130


def standing(u, v):
    return np.array([u - 0.3 * METRE_PX, v - METRE_PX, u + 0.3 * METRE_PX, v + METRE_PX])


def diver(frame):
    """On a platform, swaying a little; a jump and a fall; gone in the water."""
    t_s = max(0, frame - TAKE_OFF) / RATE_HZ
    if frame > ENTRY:
        return np.full(4, np.nan)
    sway = 2 * np.sin(frame / 6) if frame < TAKE_OFF else 0
    return standing(200 + sway + METRE_PX * t_s, 45 + METRE_PX * (9.81 * t_s * t_s / 2 - 2.7 * t_s))


def walker(frame):
    return standing(60 + METRE_PX * 1.4 * frame / RATE_HZ, 200)


def scene(*ways, noise_px=0.8, seed=1):
    return Scene(np.array([[way(frame) for way in ways] for frame in range(FRAMES)]), SIZE_PX, noise_px, seed)


def told(made, tmp_path, sport="dive"):
    """Whom each frame's box is nearest to, by number; -1 for nobody near; and the subjects' numbers."""
    who, subjects = [], []
    for track in rehearsed(made, RATE_HZ, TrackSettings(sport=sport), tmp_path):
        nearest = -1
        if track.box_img_px is not None:
            box = np.array(track.box_img_px)
            off = np.abs((made.boxes_img_px[track.seq] - box)[:, :2] + (made.boxes_img_px[track.seq] - box)[:, 2:])
            distance = np.nan_to_num(off.max(1), nan=1e9)
            nearest = int(distance.argmin()) if distance.min() < METRE_PX else -1
        who.append(nearest)
        subjects.append(track.subject)
    return np.array(who), np.array(subjects)


@pytest.mark.parametrize("seed", range(4))
def test_a_spectator_gives_way_to_the_one_who_falls(tmp_path, seed) -> None:
    made = scene(walker, diver, seed=seed)
    who, _ = told(made, tmp_path)
    assert (who[TAKE_OFF + 45 : ENTRY] == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_while_the_diver_flies_nobody_else_is_followed(tmp_path, seed) -> None:
    """Somebody comes forward on the platform meanwhile, and somebody walks below."""

    def next_diver(frame):
        return standing(120 + 0.4 * max(0, frame - TAKE_OFF), 45)

    who, subjects = told(scene(diver, next_diver, walker, seed=seed), tmp_path)
    first = TAKE_OFF + int(np.argmax(who[TAKE_OFF:] == 0))
    assert (who[first : ENTRY - 1] == 0).all()
    assert len(set(subjects[first:ENTRY])) == 1


def test_when_a_dive_is_over_the_next_is_another_subject(tmp_path) -> None:
    def next_diver(frame):
        return standing(110 + 0.8 * max(0, frame - ENTRY), 45)

    who, subjects = told(scene(diver, next_diver), tmp_path)
    assert who[ENTRY - 10] == 0
    assert who[-1] == 1
    assert subjects[-1] > subjects[ENTRY - 10]


def test_where_nobody_flies_whoever_moved_first_is_kept(tmp_path) -> None:
    who, _ = told(scene(walker, diver), tmp_path, sport="ground")
    assert len(set(who[20:ENTRY])) == 1


def test_a_scene_is_what_it_says() -> None:
    made = trackscenes.scene(np.random.default_rng(5))
    assert made.boxes_img_px.shape[2] == 4 and made.boxes_img_px.shape[1] >= 4
    assert made.hidden.sum() == round(trackscenes.HIDDEN_S * RATE_HZ)
    assert made.flying[made.hidden].all()
    assert np.isnan(made.boxes_img_px[made.hidden, 0]).all()
    assert np.isfinite(made.whole_img_px[made.flying]).all()
    low, high = trackscenes.NOISE_PX
    assert low <= made.noise_px / trackscenes.PER_FULL_HD <= high


def measured(told_of, hidden=()):
    """From letters: D the diver, o somebody else, . nobody."""
    letters = np.array(list(told_of))
    away = np.zeros(len(letters), bool)
    away[list(hidden)] = True
    return trackscenes._Measured(np.where(letters == "D", 0.8, 0.0), away, letters == "o")


def test_figures_count_switches_losses_and_recoveries() -> None:
    figures = trackscenes.figures(
        [
            measured("ooooDDDDDDDDDDoooooo"),  # found late, then left for somebody else
            measured("DDDDDDDDDDoooDDDDDDD", hidden=(10, 11, 12)),  # somebody else while hidden only
            measured("DDDDDDDDDD......DDDD", hidden=(10, 11)),  # recovered too late
            measured("...................."),
        ]
    )
    assert (figures.count, figures.switches, figures.occlusions) == (4, 1, 2)
    assert figures.recovered == 0.5
    assert figures.lock_s == pytest.approx((4 + 20) / 4 / RATE_HZ)
    assert figures.lost == pytest.approx((10 + 0 + 4 + 20) / 75)


@pytest.mark.slow
def test_two_hundred_dives_and_gravity_against_none() -> None:
    """The seed was not chosen. Lost are dives after whose occlusion somebody else is where the diver is looked for."""
    ours, without = track_scenes(200, 2024), track_scenes(200, 2024, gravity=False)
    print(ours, without, sep="\n")
    assert ours.recovered >= 0.9
    assert ours.switches <= 0.06 * ours.count
    assert without.lock_s > 2 * ours.lock_s
    assert without.lost > 2 * ours.lost
    assert without.occlusions < ours.occlusions / 2
