"""Strokes drawn as arrays: which belong together, and in what order."""

import numpy as np
import pytest

from digits.images import strokes
from digits.images.ink import Ink


def bars(*corners: tuple[int, int], bridge: float = 0.0) -> Ink:
    """Upright bars of 40x6 pixels, their upper left corners (y, x) given, and how much ink is
    between the first two.
    """
    ink_HW = np.zeros((120, 150), np.float32)
    for y, x in corners:
        ink_HW[y : y + 40, x : x + 6] = 1
    (y, left), (_, right), *_ = corners
    ink_HW[y + 18 : y + 22, left + 6 : right] = bridge
    return ink_HW


def lefts(inks: list[Ink]) -> list[int]:
    return [int(np.flatnonzero(ink_HW.any(0))[0]) for ink_HW in inks]


@pytest.mark.parametrize(("bridge", "count"), [(0.2, 2), (0.4, 1)])
def test_what_has_a_third_of_full_ink_is_a_stroke(bridge: float, count: int) -> None:
    assert len(strokes.separate(bars((10, 20), (10, 45), bridge=bridge))) == count


def test_a_rising_line_is_read_from_left_to_right() -> None:
    assert lefts(strokes.separate(bars((30, 10), (20, 45), (10, 80)))) == [10, 45, 80]


def test_lines_follow_each_other() -> None:
    two_lines = bars((15, 10), (5, 45), (75, 20), (65, 60))
    assert lefts(strokes.separate(two_lines)) == [10, 45, 20, 60]
