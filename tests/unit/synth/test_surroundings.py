"""Backgrounds, light of panoramas, things before the athlete, and what cameras do: labels must stay true."""

import dataclasses

import cv2
import numpy as np
import pytest

from training.synth import athletes, backgrounds, foreground, lens, panorama, places, sheet
from training.synth.camera import looking
from training.synth.perspective import View, ground
from training.synth.render import Layer


@pytest.mark.parametrize("place", [place for place, _ in places.PLACES], ids=lambda place: place.__name__)
def test_places_differ_and_repeat(place):
    first, again, other = (place(np.random.default_rng(seed), 160) for seed in (1, 1, 2))
    assert first.shape == (160, 160, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.isfinite(first).all()


def test_canvases_fill_a_picture_of_bytes():
    rng = np.random.default_rng(4)
    for _ in range(6):
        canvas = backgrounds.canvas(rng, side=128)
        assert canvas.image.shape == (128, 128, 3)
        assert canvas.image.dtype == np.uint8
        assert backgrounds.window(rng, canvas.image, 64).shape == (64, 64, 3)


def test_ground_meets_the_pixels_of_the_view():
    view = View(100, 100.0, 20.0, 2.0)
    texture = np.zeros((64, 64, 3), np.float32)
    texture[:, 32:] = 200.0
    image = np.full((100, 100, 3), 7.0, np.float32)
    ground(image, view, texture, 200.0)
    assert (image[:21] == 7).all()
    assert (image[22:] != 7).any()
    # A floor point 4 m away, straight ahead: 2 m below the eye, so 50 px below the horizon.
    assert np.allclose(view.at(np.array([0.0, 0.0, 4.0])), (50, 70))


def _half_lit():
    """White sky in the right half of the picture (second half of the azimuth), black elsewhere."""
    radiance = np.full((64, 128, 3), 0.01, np.float32)
    radiance[10:30, 70:90] = 1.0
    return panorama.lit(radiance)


def test_light_comes_from_where_the_panorama_is_bright():
    bright = _half_lit()
    rng = np.random.default_rng(0)
    found = []
    for _ in range(80):
        image, light = bright.view(rng, 65)
        camera = looking(np.zeros(3), np.array([rng.normal(), rng.normal(), 0.0]), 50.0, (65, 65))
        strength = image.mean(-1) - (image.mean(-1).min() + image.mean(-1).max()) / 2
        if strength.max() < 40:
            continue
        # The bright patch is right of the middle exactly when light reaches surfaces that face right.
        patch = np.argwhere(strength > 0)[:, 1]
        middle = patch.mean() - 32
        lighting = light.seen_by(camera)
        across = camera.world_from_cam[:3, :3] @ [1.0, 0, 0]
        rightward = (lighting.diffuse.mean(1)[[3, 1, 2]] + lighting.direction * lighting.sun.mean()) @ across
        found.append((middle, rightward))
    middles, rightwards = np.array([pair for pair in found if abs(pair[0]) > 5]).T
    assert len(middles) > 3
    assert (np.sign(middles) == np.sign(rightwards)).mean() > 0.9


def test_bad_panoramas_are_refused(tmp_path):
    with pytest.raises(panorama.PanoramaError, match="no panoramas"):
        panorama.read(tmp_path)
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(panorama.PanoramaError, match=r"x\.png"):
        panorama.read(tmp_path / ".")


def test_what_hides_the_athlete_is_what_changed():
    image = np.full((96, 96, 3), 120, np.uint8)
    mask = np.zeros((96, 96), bool)
    mask[20:80, 30:60] = True
    hidden = 0
    for seed in range(12):
        after, covered = foreground.hidden_by_things(np.random.default_rng(seed), image, mask)
        assert (after[~covered] == 120).mean() > 0.999
        assert (covered & mask).sum() <= foreground.MOST_HIDDEN * mask.sum()
        hidden += bool(covered.any())
    assert hidden > 5


def test_graphics_cover_what_they_say():
    image = np.full((96, 96, 3), 120, np.uint8)
    after, covered = lens.graphics(np.random.default_rng(3), image)
    assert (after[~covered] == 120).all()
    assert 0 < covered.mean() < 0.5


def test_person_in_front_hides_and_person_behind_does_not_matter():
    rgba = np.zeros((96, 96, 4), np.uint8)
    rgba[30:70, 40:56] = 255
    other = Layer(rgba, (rgba[..., 3] > 0).astype(np.float32))
    image, mask = np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96), bool)
    after, covered = foreground.person(np.random.default_rng(1), image, other, 1.0, mask)
    assert covered.any()
    assert (after[covered] > 100).all()
    assert (after[~covered] < 160).all()


def test_shadow_lies_under_the_body_away_from_the_lamp():
    image = np.full((100, 100, 3), 200, np.uint8)
    camera = looking(np.array([0, -6.0, 3.0]), np.zeros(3), 100.0, (100, 100))
    body = np.random.default_rng(0).uniform([-0.2, -0.2, 0], [0.2, 0.2, 1.7], (400, 3))
    lamp = np.array([1.0, 0, 1.0]) / np.sqrt(2)
    dark = foreground.shadow(image, body, 0.0, lamp, camera, 0.6)
    columns = np.flatnonzero((dark[..., 0] < 180).any(0))
    assert len(columns)
    assert columns.mean() < 48
    below = looking(np.array([0, -6.0, -3.0]), np.zeros(3), 100.0, (100, 100))
    assert foreground.shadow(image, body, 0.0, lamp, below, 0.6) is image


EFFECTS = (
    lens.coarse,
    lens.defocused,
    lens.streaked,
    lens.exposed,
    lens.noisy,
    lens.interlaced,
    lens.by_video,
    lens.taken,
    lens.sent,
)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
def test_effects_keep_things_where_they_are(effect):
    image = np.full((96, 96, 3), 60, np.uint8)
    image[30:60, 40:60] = 220
    for seed in range(4):
        out, again = (effect(np.random.default_rng(seed), image.copy()) for _ in range(2))
        assert np.array_equal(out, again)
        assert out.shape == image.shape
        assert out.dtype == np.uint8
        grey = cv2.GaussianBlur(out.mean(-1), (0, 0), 2)
        bright = np.argwhere(grey > (grey.min() + grey.max()) / 2)
        assert np.allclose(bright.mean(0), (44.5, 49.5), atol=2.5)


def test_moving_bodies_are_blurred_and_still_ones_are_not(renderer, monkeypatch):
    monkeypatch.setattr(athletes, "SHARE_BLURRED", 0.5)
    posed = list(athletes.group(np.random.default_rng(2), None, 8))
    moving = [one for one in posed if one.moved_m is not None]
    assert 0 < len(moving) < len(posed)
    way = np.linalg.norm(moving[0].moved_m, axis=1)
    assert 0.001 < way.max() < 1.5
    rng = np.random.default_rng(1)
    camera = athletes.view(rng, moving[0], 96, 0.7)
    look, light = athletes.dressed(rng, moving[0], athletes.NO_SOURCES), backgrounds.random_lighting(rng)
    fast = dataclasses.replace(moving[0], moved_m=np.full_like(moving[0].vertices_m, 0.15))
    still = dataclasses.replace(moving[0], moved_m=None)
    blurred, sharp = (athletes.drawn(one, look, light, camera) for one in (fast, still))
    partly = [((layer.rgba[..., 3] > 10) & (layer.rgba[..., 3] < 245)).sum() for layer in (blurred, sharp)]
    assert partly[0] > 1.5 * partly[1]
    assert np.array_equal(blurred.mask, sharp.mask)


def test_sheet_beside_real_pictures(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((30, 50, 3), 50 * number, np.uint8))
    assert [image.shape for image in sheet.real(tmp_path, 2, 16)] == [(16, 16, 3)] * 2
    with pytest.raises(ValueError, match="3 pictures of the 10 wanted"):
        sheet.real(tmp_path, 10)


def test_a_camera_sets_its_exposure():
    dull = np.random.default_rng(0).normal(70, 6, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    for seed in range(8):
        set_to = lens.metered(np.random.default_rng(seed), dull)
        assert set_to.std() > 1.5 * dull.std() and set_to.max() > 110
        order = np.argsort(dull[..., 0].ravel())[[50, -50]]
        assert np.diff(set_to[..., 0].ravel()[order].astype(int)) > 0
    black = np.zeros((96, 96, 3), np.uint8)
    assert lens.metered(np.random.default_rng(0), black).shape == black.shape
