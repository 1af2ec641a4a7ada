"""Squares cover the picture, a subject is whole in one of them, a sweep keeps the likeliest."""

import pytest

from pipeline.search import STEP, Sweep, squares


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 480), (500, 500), (4000, 300)])
def test_squares_lie_in_the_picture_and_every_small_subject_is_whole_in_one(size):
    width, height = size
    windows = squares(width, height)
    for left, top, right, bottom in windows:
        assert left >= -0.5 - 1e-6 and top >= -0.5 - 1e-6
        assert right <= width - 0.5 + 1e-6 and bottom <= height - 0.5 + 1e-6
        assert right - left == pytest.approx(bottom - top)
    smallest = min(right - left for left, _, right, _ in windows)
    body = (1 - STEP) * smallest - 1
    for u in range(0, int(width - body), 37):
        for v in range(0, int(height - body), 37):
            assert any(
                left - 0.51 <= u and top - 0.51 <= v and u + body <= right + 0.51 and v + body <= bottom + 0.51
                for left, top, right, bottom in windows
            )


def test_large_squares_come_first_and_a_broadcast_picture_takes_a_sixth_of_a_second():
    windows = squares(1920, 1080)
    sides = [right - left for left, _, right, _ in windows]
    assert sides == sorted(sides, reverse=True) and len(windows) <= 18


def test_a_sweep_gives_every_square_once_and_the_likeliest_boxes_first():
    sweep, seen = Sweep(640, 360), []
    while not sweep.over:
        for window in sweep.windows(4):
            seen.append(window)
            sweep.saw(window, {3: 0.9, 5: 0.7}.get(len(seen), 0.1))
    assert tuple(seen) == squares(640, 360)
    assert sweep.likely(0.6) == [seen[2], seen[4]] and sweep.presence == 0.9
    assert list(sweep.windows(4)) == []
