"""Search windows: the box is where theta says, windows are those of the tracker, batches depend on seed and step."""

import cv2
import numpy as np
import pytest
import torch

from training import scenes, windows
from training.scenes import ScenePool, StoredScene, Windows, labelled_box

BOX = np.array([-0.1, -0.2, 0.06, 0.2])


def _scene(box: np.ndarray, side: int = 256) -> np.ndarray:
    picture = np.zeros((side, side, 3), np.uint8)
    x0, y0, x1, y1 = np.rint((box + 1) / 2 * side).astype(int)
    picture[y0:y1, x0:x1] = 255
    return picture


def _edges(picture: np.ndarray) -> np.ndarray:
    """Edges of what is bright, coordinates -1..1."""
    ys, xs = np.nonzero(picture.min(-1) > 127)
    height, width = picture.shape[:2]
    return np.array([xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height]) * 2 - 1


@pytest.mark.parametrize("symmetry", range(8))
def test_scene_and_box_turn_together(symmetry):
    box = np.array([60, 40, 80, 100]) / 128 - 1
    scene = _scene(box)
    turned, moved = windows.turned(scene, box, symmetry)
    assert _edges(turned) == pytest.approx(moved) and turned.sum() == scene.sum()


def test_a_window_shows_the_box_where_theta_says():
    box = np.array([120, 100, 150, 160]) / 128 - 1
    window = np.array([-0.5, -0.6, 0.7, 0.8])
    theta, presence, certain = windows.theta_in(window, box)
    edges = _edges(windows.cut_window(_scene(box), window))
    assert (presence, certain) == (1, 1)
    assert np.r_[theta[2:] - theta[:2], theta[2:] + theta[:2]] == pytest.approx(edges, abs=0.02)


@pytest.mark.parametrize(
    ("left", "expected"), [(-0.3, (1, 1)), (-0.1, (1, 1)), (0.1, (0, 0)), (0.17, (0, 1)), (0.5, (0, 1))]
)
def test_a_subject_half_in_the_window_is_in_doubt(left, expected):
    # The box is 0.4 wide: from 0.1 a quarter of it is seen, from 0.17 less than an eighth.
    box = np.array([-0.2, -0.2, 0.2, 0.2])
    assert windows.theta_in(np.array([left, -1.0, 1.0, 1.0]), box)[1:] == expected
    assert windows.theta_in(np.array([-1.0, -1.0, 1.0, 1.0]), None)[1:] == (0, 1)


def test_windows_are_those_of_the_tracker():
    rng = np.random.default_rng(0)
    follow = np.array([windows.follow_window(rng, BOX) for _ in range(400)])
    sides = follow[:, 2:] - follow[:, :2]
    assert np.allclose(sides[:, 0], sides[:, 1])
    assert np.median(sides[:, 0]) == pytest.approx(2.0 * 0.4, rel=0.1)
    for _ in range(100):
        whole = windows.whole_window(rng, BOX)
        assert (
            (whole[:2] <= BOX[:2] + 1e-9).all() and (whole[2:] >= BOX[2:] - 1e-9).all() and np.abs(whole).max() < 1.0001
        )
        beside = windows.beside_window(rng, BOX)
        assert beside is None or windows.theta_in(beside, BOX)[1:] == (0, 1)


@pytest.mark.parametrize("side", [256, None])
def test_an_inset_scene_brings_its_box_along(side):
    canvas = np.full((256, 256, 3), 40, np.uint8)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        picture, box = windows.inset(rng, _scene(BOX), BOX, canvas, side)
        assert side is None or len(picture) == side
        assert _edges(picture) == pytest.approx(box, abs=0.03)
        assert (box[2:] - box[:2]).max() / 2 >= windows.SMALLEST


def test_the_subject_of_an_inset_is_not_always_in_the_middle_of_what_was_inset():
    shown = np.full((200, 200, 3), 90, np.uint8)
    offsets = []
    for seed in range(60):
        part, box = windows.trimmed(np.random.default_rng(seed), shown, np.array([-0.5, -0.5, 0.5, 0.5]))
        assert box.min() >= 0 and box[2] <= part.shape[1] and box[3] <= part.shape[0]
        offsets.append((box[0] + box[2]) / part.shape[1] - 1)
    assert np.std(offsets) > 0.1 and abs(np.mean(offsets)) < 0.1


def test_boxes_of_every_kind_of_label():
    assert labelled_box({"present": 0, "box": None}) == (None, True, False)
    assert labelled_box({"present": 1, "box": [0, 0.1, 0.2, 0.3]})[0] == (0, 0.1, 0.2, 0.3)
    crop, exact, centred = labelled_box({"box_crop_px": [71.5, 71.5, 215.5, 143.5]})
    assert crop == pytest.approx((-0.5, -0.5, 0.5, 0.0)) and exact and centred
    joints, labelled = np.zeros((17, 2)), np.zeros(17, int)
    joints[3], joints[12], labelled[[3, 12]] = (49.5, 49.5), (149.5, 149.5), 1
    photo, exact, _ = labelled_box({"joints_crop_px": joints, "labelled": labelled, "side_px": 200})
    # 100 px wide and high, and 5 % of the diagonal of 141 px on each side.
    assert not exact and photo == pytest.approx(
        tuple(np.array([50 - 7.07, 50 - 7.07, 150 + 7.07, 150 + 7.07]) / 100 - 1), abs=1e-3
    )


def test_batches_depend_on_seed_and_step_alone(data):
    pools = tuple(ScenePool(data.root / name, validation=False) for name in ("scenes", "crops"))
    one, two = (Windows(pools, (0.5, 0.5), seed=3) for _ in range(2))
    one.make(4, 6)
    for a, b in zip(one.make(5, 6), two.make(5, 6), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.make(5, 6).picture, one.make(6, 6).picture)
    assert one.make(5, 6).picture.shape == (6, 128, 128, 3)


def test_most_windows_show_the_subject_and_the_others_say_no(data):
    jpeg = cv2.imencode(".jpg", _scene(BOX))[1].tobytes()
    rng = np.random.default_rng(2)
    drawn = Windows((), (1.0,), 1)
    rows = [drawn.draw(rng, StoredScene(jpeg, tuple(BOX)), disturb=True) for _ in range(300)]
    presence = np.array([row.presence for row in rows])
    certain = np.array([row.certain for row in rows])
    assert 0.55 < presence.mean() < 0.8 and certain.mean() > 0.9
    for row in rows:
        assert row.presence or not row.theta.any()
        assert (np.abs(row.theta[2:]) + row.theta[:2] < 1.0001).all()
    held_out = scenes.validation_scenes(data.root / "scenes", 50)
    assert len(held_out.picture) == len(held_out.theta) > 0


def test_windows_around_things_miss_the_subject_and_have_what_stands_out_in_their_middle(monkeypatch):
    thing = np.array([0.45, 0.3, 0.75, 0.8])
    scene = _scene(BOX)
    scene[_scene(thing) > 0] = 200

    def shows_it() -> float:
        """Share of windows with the thing's middle in them."""
        rng = np.random.default_rng(5)
        drawn = [windows.thing_window(rng, scene, BOX) for _ in range(80)]
        found = [window for window in drawn if window is not None]
        assert all(windows.share_seen(window, BOX) <= 0.5 * windows.ABSENT for window in found)
        low, high = (np.array(found)[:, part] for part in (slice(0, 2), slice(2, 4)))
        middle = (thing[:2] + thing[2:]) / 2
        return float(((low < middle) & (middle < high)).all(1).mean())

    looked_for = shows_it()
    monkeypatch.setattr(windows, "_TRIES", 1)
    assert looked_for > 1.5 * shows_it()
    assert windows.thing_window(np.random.default_rng(5), scene, np.array([-1.0, -1.0, 1.0, 1.0])) is None


def test_a_furnished_window_is_changed_in_its_middle_alone():
    rng = np.random.default_rng(6)
    empty = np.full((128, 128, 3), 90, np.uint8)
    changed = np.stack([(windows.furnished(rng, empty) != empty).any(-1) for _ in range(40)])
    assert changed.any((1, 2)).all() and 0.005 < changed.mean() < 0.4
    assert not changed[:, :4].any() and not changed[:, :, -4:].any()
    assert (empty == 90).all()
