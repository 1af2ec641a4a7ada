"""Intrinsics from views of a board: right, with a true uncertainty, and refused when they cannot be had."""

import numpy as np
import pytest

from calibration.board import Pattern
from calibration.camera import Camera
from calibration.detection import View
from calibration.errors import CalibrationError
from calibration.intrinsics import calibrated
from tests.unit.calibration.board_views import pose, view_of, views_of

PATTERN = Pattern()
SIZE = (1280, 720)
LENS = Camera(*SIZE, 1000.0, (645.0, 356.0), (-0.15, 0.04, 0.0004, -0.0003), 1.001, "opencv")
STRONG = Camera(*SIZE, 800.0, (645.0, 356.0), (-0.30, 0.12, 0.0004, -0.0003, -0.025), 1.001, "opencv")
FISHEYE = Camera(*SIZE, 560.0, (645.0, 356.0), (0.02, -0.01, 0.003, -0.001), 0.999, "fisheye")


@pytest.mark.parametrize("lens", [LENS, STRONG, FISHEYE], ids=["radial", "with k3", "fisheye"])
def test_exact_corners_give_the_exact_camera(lens):
    fit = calibrated(views_of(lens, PATTERN, 16, noise_px=0.0), PATTERN, SIZE, lens.model)
    assert fit.reprojection_px < 0.01
    assert fit.camera.focal_px == pytest.approx(lens.focal_px, rel=1e-4)
    assert fit.camera.pixel_aspect == pytest.approx(lens.pixel_aspect, rel=1e-4)
    np.testing.assert_allclose(fit.camera.centre_px, lens.centre_px, atol=0.05)
    u, v = np.meshgrid(np.linspace(0, 1279, 9), np.linspace(0, 719, 9))
    rays = lens.unproject(np.stack([u, v], axis=-1))
    rays = rays[np.isfinite(rays).all(axis=-1)]
    assert np.abs(fit.camera.project(rays) - lens.project(rays)).max() < 1.0


@pytest.mark.parametrize("lens", [LENS, FISHEYE], ids=["opencv", "fisheye"])
def test_the_standard_deviation_of_the_focal_length_is_true(lens):
    """Of many calibrations the errors are as large as each says of itself."""
    fits = [calibrated(views_of(lens, PATTERN, 16, 0.2, seed), PATTERN, SIZE, lens.model) for seed in range(20)]
    scores = [(fit.camera.focal_px - lens.focal_px) / fit.sd["focal_px"] for fit in fits]
    # Of 20 standard normal numbers the root mean square lies in 0.6..1.4 in 99 of 100 cases.
    assert 0.6 < np.sqrt(np.mean(np.square(scores))) < 1.4


def test_a_third_coefficient_is_left_out_where_nothing_shows_it():
    assert calibrated(views_of(LENS, PATTERN, 16), PATTERN, SIZE).camera.distortion[4] == 0.0
    assert calibrated(views_of(STRONG, PATTERN, 30), PATTERN, SIZE).camera.distortion[4] != 0.0


def test_where_the_board_was_is_known():
    views = views_of(LENS, PATTERN, 16, noise_px=0.0)
    fit = calibrated(views, PATTERN, SIZE)
    corners = np.column_stack([PATTERN.corners_mm, np.zeros(len(PATTERN.corners_mm))])[views[3].ids]
    placed = corners @ fit.cam_from_board[3][:3, :3].T + fit.cam_from_board[3][:3, 3]
    np.testing.assert_allclose(LENS.project(placed), views[3].corners_img_px, atol=0.05)


def test_a_view_that_contradicts_the_others_is_dropped():
    views = views_of(LENS, PATTERN, 16)
    bent = views[5].corners_img_px + 6 * np.sin(views[5].corners_img_px / 60)
    views[5] = View(bent, views[5].ids, views[5].rise_px, "bent")
    fit = calibrated(views, PATTERN, SIZE)
    assert [view.label for view in fit.dropped] == ["bent"]
    assert len(fit.views) == 15
    assert fit.camera.focal_px == pytest.approx(LENS.focal_px, rel=2e-3)


def test_errors_of_views_are_those_of_their_residuals():
    fit = calibrated(views_of(LENS, PATTERN, 16), PATTERN, SIZE)
    everything = np.concatenate(fit.residuals_px)
    assert fit.reprojection_px == pytest.approx(np.sqrt((everything**2).sum(axis=1).mean()))
    assert fit.reprojection_px == pytest.approx(0.1 * np.sqrt(2), rel=0.15)
    assert len(fit.views_px) == 16


def test_too_few_views_say_what_to_film():
    with pytest.raises(CalibrationError, match=r"4 usable views are not enough; film also: .*6 or more views"):
        calibrated(views_of(LENS, PATTERN, 4), PATTERN, SIZE)


def test_a_board_never_tilted_gives_no_focal_length():
    rng = np.random.default_rng(0)
    poses = [
        pose(LENS, PATTERN, (0.25 + 0.25 * u, 0.25 + 0.25 * v), part)
        for u in range(3)
        for v in range(3)
        for part in (0.3, 0.4)
    ]
    flat = [view_of(one, LENS, PATTERN, rng) for one in poses]
    with pytest.raises(CalibrationError, match=r"tilt the board by \d\d degrees"):
        calibrated(flat, PATTERN, SIZE)


def test_an_uncertain_focal_length_is_refused():
    tele = Camera(*SIZE, 12000.0, (639.5, 359.5))  # so long a lens shows hardly any perspective
    with pytest.raises(CalibrationError, match=r"the focal length is uncertain by [\d.]+%; film also: "):
        calibrated(views_of(tele, PATTERN, 12, noise_px=0.4), PATTERN, SIZE)


def test_a_camera_that_zoomed_meanwhile_is_refused():
    zoomed = Camera(*SIZE, 1500.0, LENS.centre_px, LENS.distortion, 1.001, "opencv")
    views = views_of(LENS, PATTERN, 12) + views_of(zoomed, PATTERN, 12, seed=1)
    with pytest.raises(CalibrationError, match="zoom"):
        calibrated(views, PATTERN, SIZE)
