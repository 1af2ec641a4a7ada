"""Projection and its inverse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.camera import Camera, CameraError

# The order of size of Human3.6M's cameras.
REAL = Camera(1000, 1002, 1145.0, (512.5, 515.5), (-0.2, 0.25, -0.007, -0.0009, -0.0016), 0.9993)
WIDE = Camera(1920, 1080, 1100.0, (950.0, 545.0), (-0.12, 0.02, 0.0, 0.001, -0.0005))
PLAIN = Camera.guessed(1920, 1080, 25.0)
CAMERAS = [REAL, WIDE, PLAIN]


@pytest.mark.parametrize("camera", CAMERAS)
def test_every_pixel_comes_back(camera):
    u, v = np.meshgrid(np.linspace(-0.5, camera.width - 0.5, 41), np.linspace(-0.5, camera.height - 0.5, 31))
    pixels = np.stack([u, v], axis=-1)
    depth = np.random.default_rng(0).uniform(0.5, 40, u.shape)
    points = camera.unproject(pixels, depth)
    np.testing.assert_allclose(points[..., 2], depth)
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-6)


@pytest.mark.parametrize("camera", CAMERAS)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.3, 100))
def test_every_point_comes_back(camera, across, down, depth):
    point = camera.unproject((across * (camera.width - 1), down * (camera.height - 1)), depth)
    np.testing.assert_allclose(camera.unproject(camera.project(point), depth), point, rtol=1e-9, atol=1e-9)


def test_distortion_is_the_formula():
    camera = REAL
    a, b = 0.31, -0.22
    k1, k2, k3, p1, p2 = camera.distortion
    r2 = a * a + b * b
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * a + p2 * b
    u = camera.focal_px * (a * factor + p1 * r2) + camera.centre_px[0]
    v = camera.focal_px * camera.pixel_aspect * (b * factor + p2 * r2) + camera.centre_px[1]
    np.testing.assert_allclose(camera.project([3 * a, 3 * b, 3.0]), [u, v], rtol=1e-12)


def test_intrinsics_project_where_there_is_no_distortion():
    point = np.array([0.7, -0.4, 6.0])
    expected = PLAIN.intrinsics @ point
    np.testing.assert_allclose(PLAIN.project(point), expected[:2] / expected[2])


def test_a_guessed_camera_spans_its_field_of_view():
    middle_top = PLAIN.unproject((959.5, -0.5))
    assert math.degrees(math.atan2(-middle_top[1], middle_top[2])) == pytest.approx(12.5)
    np.testing.assert_allclose(PLAIN.unproject((959.5, 539.5)), [0, 0, 1], atol=1e-12)


def test_what_is_behind_the_camera_has_no_pixel():
    pixels = REAL.project([[0, 0, 1.0], [0, 0, 0.0], [0.1, 0, -1.0]])
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1:]).all()


def test_a_pixel_no_ray_reaches_is_nan_not_a_number():
    assert np.isnan(REAL.normalised((np.nan, 3.0))).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 0}, "above 0"),
        ({"focal_px": -3.0}, "above 0"),
        ({"focal_px": math.nan}, "finite"),
        ({"centre_px": (1.0, 2.0, 3.0)}, "centre of 2"),
        ({"distortion": (0.1, 0.2)}, "distortion of 5"),
        ({"pixel_aspect": 0.0}, "above 0"),
        ({"distortion": (-3.0, 0.0, 0.0, 0.0, 0.0)}, "folds the picture"),
    ],
)
def test_numbers_that_are_no_camera_are_refused(changes, says):
    numbers = {"width": 1000, "height": 1000, "focal_px": 1145.0, "centre_px": (500.0, 500.0)}
    with pytest.raises(CameraError, match=says):
        Camera(**(numbers | changes))


@pytest.mark.parametrize("fov", [0.0, 180.0, -5.0])
def test_a_field_of_view_is_between_zero_and_a_half_turn(fov):
    with pytest.raises(CameraError, match="between 0 and 180"):
        Camera.guessed(640, 480, fov)
