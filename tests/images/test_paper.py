"""Guesses at the paper, one by one."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from digits.images import drawing, ink, paper
from support.drawn import seven
from support.image_files import encoded

CORNERS = [(60, 40), (330, 70), (310, 260), (40, 240)]  # of a sheet, from the upper left clockwise


def on_a_table(light: int = 235, table: int = 70) -> Image.Image:
    """A sheet with a 7 in its middle, laid at an angle."""
    page = Image.new("L", (400, 300), table)
    ImageDraw.Draw(page).polygon(CORNERS, fill=light)
    page.paste(seven().resize((130, 130)).point(lambda v: v * light // 255), (120, 90))
    return page


def test_a_sheets_corners_are_found_and_its_edge_is_left_out() -> None:
    (quad,) = paper.sheets(on_a_table())
    middle = np.mean(CORNERS, axis=0)
    expected = middle + (np.array(CORNERS) - middle) * 0.82  # 9 % of each side
    assert abs(quad - expected).max() < 4
    sheet = np.asarray(paper.straightened(on_a_table(), quad))
    assert sheet.shape == pytest.approx((167, 223), abs=8)  # 0.82 of 204 and 272
    assert (sheet[[0, -1]] == 235).all()  # no table
    assert (sheet < 100).sum() > 200  # the 7


def test_a_dark_sheet_is_one_too_and_what_is_no_sheet_is_none() -> None:
    (quad,) = paper.sheets(Image.eval(on_a_table(), lambda v: 255 - v))
    assert quad.shape == (4, 2)
    assert list(paper.sheets(Image.new("L", (300, 200), 200))) == []
    star = Image.new("L", (300, 300))
    ImageDraw.Draw(star).line([(20, 20), (280, 280), (150, 20), (20, 280)], fill=255, width=9)
    assert list(paper.sheets(star)) == []


def test_a_box_on_a_sheet_is_in_the_pictures_pixels() -> None:
    """The 7 has ink from 53, 43 to 147, 165 of 200, which are 130 pixels here, from 120, 90."""
    boxes = [each.whole.box for each in drawing.guesses(encoded(on_a_table())) if each.whole]
    assert boxes[-1] == pytest.approx((154, 118, 216, 197), abs=6)


def test_the_paper_around_is_followed_over_a_slope() -> None:
    slope_HW = np.tile(np.linspace(0.4, 0.9, 160, dtype=np.float32), (120, 1))
    page_HW = slope_HW.copy()
    page_HW[50:58, 40:100] *= 0.3
    light_HW, dark = paper.around(page_HW)
    assert dark
    assert abs(light_HW - slope_HW)[20:-20, 30:-30].max() < 0.05
    assert not paper.around(1 - page_HW)[1]


def test_narrow_keeps_a_shadows_edge() -> None:
    page_HW = np.full((120, 160), 0.9, np.float32)
    page_HW[:, 80:] = 0.5
    shadow_HW = page_HW.copy()
    page_HW[40:46, 20:60] = 0.1
    light_HW, dark = paper.narrow(page_HW, dark=True, share=0.1)  # 17 pixels
    assert dark
    assert abs(light_HW - shadow_HW)[:, :76].max() < 0.01
    assert light_HW[50, 83] == pytest.approx(0.5, abs=0.01)
    assert not paper.narrow(page_HW, dark=False, share=0.1)[1]


def test_a_finger_s_shadow_is_wider_than_thin_strokes() -> None:
    page_HW = np.full((120, 160), 0.9, np.float32)
    page_HW[:, 80:92] = 0.5
    page_HW[40:46, 20:60] = 0.1
    thin_HW, _ = paper.narrow(page_HW, dark=True, share=0.05)  # 9 pixels
    all_HW, _ = paper.narrow(page_HW, dark=True, share=0.1)
    assert (thin_HW[43, 40], all_HW[43, 40]) == (pytest.approx(0.9), pytest.approx(0.9))
    assert (thin_HW[60, 86], all_HW[60, 86]) == (pytest.approx(0.5), pytest.approx(0.9))


def test_outlines_are_filled_but_not_what_they_enclose() -> None:
    """A ring, drawn as two circles: the disc inside is paper."""
    y, x = np.mgrid[:80, :80]
    radius = np.hypot(y - 40, x - 40)
    outline = np.float32((abs(radius - 30) < 1) | (abs(radius - 18) < 1))
    filled = ink.filled(outline)
    assert filled[40, 40 + 24] == filled[40 - 24, 40] == 1
    assert filled[40, 40] == filled[2, 2] == 0


def test_dashes_are_joined_and_what_is_far_apart_is_not() -> None:
    dashes = np.zeros((90, 60), np.float32)
    for upper in (5, 20, 35, 50, 65):  # 10 pixels long, 5 apart
        dashes[upper : upper + 10, 20:26] = 1
    dashes[5:75, 50:54] = 1  # 24 pixels to the right
    assert ndimage.label(dashes)[1] == 6
    assert ndimage.label(ink.joined(dashes) > 0.5)[1] == 2
