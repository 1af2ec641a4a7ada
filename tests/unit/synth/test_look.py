"""How athletes look: light, cloth, hair, shade, and what of it the pictures show."""

import dataclasses

import cv2
import numpy as np
import pytest

from training.synth import hair, lighting, material
from training.synth.camera import looking
from training.synth.clothes import OUTFITS, SUIT_CHANCES
from training.synth.look import Look, random_look
from training.synth.occlusion import Flesh

FLAT = lighting.Lighting(np.array([0, -1.0, 0]), np.zeros(3), np.full(3, 0.6), np.full(3, 0.6))


def plain(**changed):
    """A bald, dry athlete in red briefs."""
    look = Look(np.full(3, 0.4), np.full(3, 0.02), np.array([0.8, 0, 0]), np.zeros(3), 0, 0.0, 2, 0.1)
    return dataclasses.replace(look, **changed)


def ways(count=200):
    out = np.random.default_rng(2).normal(size=(count, 3))
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def test_even_surroundings_light_evenly():
    seen = lighting.reduced(np.full((32, 64, 3), 7.0))
    assert np.allclose(lighting.polynomials(ways()) @ seen.harmonics, 1.0, atol=0.01)
    assert np.allclose(seen.sun, 0)


def test_a_lamp_in_a_panorama_becomes_the_sun():
    picture = np.full((64, 128, 3), 0.1)
    picture[16, 32] = [4000.0, 2000.0, 2000.0]  # 45 degrees up, azimuth 90 degrees
    seen = lighting.reduced(picture)
    assert np.degrees(np.arccos(seen.direction @ np.array([0, 1, 1]) / np.sqrt(2))) < 3
    assert seen.sun[0] == pytest.approx(2 * seen.sun[1], rel=0.02)


def test_a_lobe_is_brightest_towards_its_lamp():
    direction = np.array([0.6, 0, 0.8])
    light = lighting.polynomials(ways(2000)) @ lighting.lobe(direction, np.ones(3))[:, 0]
    expected = np.maximum(ways(2000) @ direction, 0)
    assert np.abs(light - expected).max() < 0.12  # what second order can hold of a clamped cosine
    assert np.abs(light - np.maximum(ways(2000) @ -direction, 0)).max() > 0.8


def test_turned_surroundings_turn_the_light():
    rng = np.random.default_rng(3)
    seen = lighting.Environment(rng.normal(size=(9, 3)), np.array([1.0, 0, 0]), np.ones(3))
    yaw = 0.7
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    after = lighting.turned(seen, yaw)
    assert np.allclose(after.direction, turn @ seen.direction)
    before_light = lighting.polynomials(ways()) @ seen.harmonics
    assert np.allclose(lighting.polynomials(ways() @ turn.T) @ after.harmonics, before_light)
    assert not np.allclose(lighting.polynomials(ways()) @ after.harmonics, before_light)


def test_cloth_depends_on_the_seed_alone():
    red, blue = np.array([0.8, 0, 0]), np.array([0, 0, 0.8])
    one, again, other = (material.cloth_picture(np.random.default_rng(s), red, blue) for s in (4, 4, 5))
    assert one.shape == (256, 256, 3)
    assert one.dtype == np.uint8
    assert (one == again).all()
    assert (one != other).any()


def test_grain_tiles_and_is_centred():
    noise = material.grain().astype(float)
    assert np.allclose(noise.mean((0, 1)), 127.5, atol=3)
    inner = np.abs(np.diff(noise, axis=0)).mean((0, 1))
    assert (np.abs(noise[0] - noise[-1]).mean(0) < 2 * inner).all()


def test_textures_are_read_or_refused_in_one_line(tmp_path):
    with pytest.raises(material.MaterialError, match="diffuse"):
        material.read_materials(tmp_path)
    (tmp_path / "clothes" / "suit").mkdir(parents=True)
    picture = np.zeros((700, 350, 3), np.uint8)
    picture[..., 2] = 200
    cv2.imwrite(str(tmp_path / "clothes" / "suit" / "suit_diffuse.png"), picture)
    read = material.read_materials(tmp_path)
    assert [c.shape for c in read.cloth] == [(512, 256, 3)]
    assert read.cloth[0][5, 5].tolist() == [200, 0, 0]
    (tmp_path / "clothes" / "bad_diffuse.png").write_bytes(b"no picture")
    with pytest.raises(material.MaterialError, match=r"bad_diffuse\.png"):
        material.read_materials(tmp_path)


def test_looks_follow_the_seed_and_cover_the_range(athlete):
    looks = [random_look(np.random.default_rng(seed), athlete) for seed in range(300)]
    again = random_look(np.random.default_rng(7), athlete)
    assert (again.cloth == looks[7].cloth).all()
    assert again.suit == looks[7].suit
    tones = np.array([look.skin.mean() for look in looks])
    assert tones.min() < 0.06
    assert tones.max() > 0.55
    assert {look.suit for look in looks} == set(range(len(OUTFITS)))
    assert len(SUIT_CHANCES) == len(OUTFITS)
    assert sum(SUIT_CHANCES) == pytest.approx(1)


def test_the_skulls_motion_is_found():
    rng = np.random.default_rng(6)
    rest = rng.normal(size=(50, 3))
    turn = cv2.Rodrigues(np.array([0.5, -1.0, 2.0]))[0]
    rotation, shift = hair.skull_motion(rest, rest @ turn.T + [1, 2, 3])
    assert np.allclose(rotation, turn)
    assert np.allclose(shift, [1, 2, 3])
    mirrored, _ = hair.skull_motion(rest, rest * [-1, 1, 1])
    assert np.linalg.det(mirrored) == pytest.approx(1)


def test_hair_hangs_where_it_is_told(model, athlete):
    tail = hair.Tail((0.07, 0.05), 0.3, 0.03, 0.03, np.array([0, 0, -1.0]), 0.2, 0.5)
    points, normals = hair.tube(model, athlete, tail, np.eye(3), np.zeros(3))
    rings = points.reshape(hair.RINGS, hair.AROUND, 3).mean(1)
    assert 0.15 < rings[0, 2] - rings[-1, 2] < 0.3
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert rings[0, 1] > athlete.joints_m[9, 1]  # behind the skull


def test_thighs_shade_each_other(model, athlete):
    from training.synth.body import normals

    open_share = Flesh(model, athlete).open_share(athlete.vertices_m, normals(athlete.vertices_m, model.faces))
    x, _, z = athlete.vertices_m.T
    hip = athlete.joints_m[1, 2]
    thigh = (z < hip - 0.05) & (z > hip - 0.3) & (np.abs(x) < 0.25)
    inner, outer = thigh & (np.abs(x) < 0.06), thigh & (np.abs(x) > 0.13)
    assert open_share.min() >= 0.25
    assert open_share.max() <= 1
    assert open_share[inner].mean() < open_share[outer].mean() - 0.1


@pytest.fixture(scope="module")
def shot(renderer, athlete):
    """The standing athlete from the front (or behind) in a given look."""

    def take(look, light=FLAT, side=-1):
        camera = looking(np.array([0, side * 8.0, 0]), np.zeros(3), 1000.0, (256, 256))
        return renderer.draw(athlete, athlete.vertices_m, look, light, camera)

    return take


def red(layer):
    r, g, _, a = np.moveaxis(layer.rgba.astype(int), -1, 0)
    return int(((r > 100) & (r > 3 * g) & (a > 250)).sum())


def test_same_look_same_bytes(shot):
    look = random_look(np.random.default_rng(9))
    first = shot(look).rgba.copy()
    shot(plain())
    assert (shot(look).rgba == first).all()


def test_garments_cover_more_and_more(shot):
    amounts = [red(shot(plain(suit=suit))) for suit in (0, 1, 9, 8)]
    assert amounts == sorted(amounts)
    assert amounts[0] > 100
    assert amounts[-1] > 3 * amounts[0]
    assert amounts[-1] > 0.6 * shot(plain(suit=8)).mask.sum()


def test_loose_clothes_and_hair_stand_off(shot):
    bare = shot(plain()).mask
    assert shot(plain(suit=8)).mask.sum() > 1.1 * bare.sum()
    tail = hair.Tail((0.07, 0.05), 0.3, 0.05, 0.05, np.array([1.0, 0, 0]), 0.1, 1.0)
    assert shot(plain(head=0, tail=tail)).mask.sum() > bare.sum() + 40
    assert (shot(plain(tail=tail)).mask == bare).all()  # bald: no tail


def test_face_and_back_of_the_head_differ(shot):
    front, behind = shot(plain(brows=1.0)), shot(plain(brows=1.0), side=1)
    rows = slice(*np.flatnonzero(front.mask.any(1))[[0, 25]])
    dark = [int(((p.rgba[rows, ..., 0] < 90) & (p.rgba[rows, ..., 3] > 250)).sum()) for p in (front, behind)]
    assert dark[0] > dark[1] + 5


def test_the_sun_casts_shadows(shot):
    sun = lighting.Lighting(np.array([0, -0.05, 1.0]), np.full(3, 0.5), np.full(3, 0.2), np.full(3, 0.2))
    lit = dataclasses.replace(sun, direction=np.array([0, -1.0, 0]))
    above, ahead = shot(plain(), sun), shot(plain(), lit)
    whole = above.rgba[..., 3] > 250
    assert above.rgba[whole][:, 0].mean() < ahead.rgba[whole][:, 0].mean() - 10
