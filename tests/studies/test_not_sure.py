"""What studies/not_sure/learn.py chooses with."""

import io

import doodles
import learn as choosing
import numpy as np
import pages
import pytest
import torch
from PIL import Image

from digits.images import drawing
from digits.images.drawn import Drawing, Glyph
from digits.prediction import confidence
from support.drawn import training


def test_doodles_are_the_same_each_time_and_none_is_blank() -> None:
    drawn = list(doodles.several(len(doodles.KINDS), seed=3))
    assert drawn == list(doodles.several(len(doodles.KINDS), seed=3))
    assert len(set(drawn)) == len(drawn)
    assert all(drawing.read(page).whole is not None for page in drawn)


def test_the_temperature_is_the_one_the_probabilities_were_made_with() -> None:
    random = np.random.default_rng(0)
    logits_NK = random.normal(0, 2, (5_000, 10)).astype(np.float32)
    powers = np.exp(logits_NK)
    p_NK = powers / powers.sum(1, keepdims=True)
    labels = (p_NK.cumsum(1) > random.random((len(p_NK), 1))).argmax(1)
    overconfident = confidence.tempered(p_NK, 1 / 1.6)
    # a standard error of about 0.02 at 5,000 draws
    assert choosing.temperature(overconfident, labels) == pytest.approx(1.6, abs=0.1)


def test_bending_moves_ink_and_loses_little() -> None:
    x_NHW = torch.from_numpy(training()[0]).float() / 255
    bent = choosing.bent(x_NHW, torch.Generator().manual_seed(0))
    assert 0.75 < float(bent.sum() / x_NHW.sum()) < 1.25
    assert float((bent - x_NHW).abs().mean()) > 0.03
    assert bent.min() >= 0
    assert bent.max() <= 1 + 1e-6


def test_few_pixels_are_a_digit_too() -> None:
    for way, side in ((0, 8), (1, 250), (2, 250)):
        files = [choosing.coarse(digit, way) for digit in training()[0][:8]]
        assert {Image.open(io.BytesIO(file)).height for file in files} == {side}
        assert all(drawing.read(file).whole for file in files)


@pytest.mark.parametrize("kind", pages.KINDS)
def test_a_page_is_the_same_each_time_and_shows_something(kind: str) -> None:
    digit = training()[0][3]
    page = pages.one(kind, digit, seed=4)
    assert page == pages.one(kind, digit, seed=4) != pages.one(kind, digit, seed=5)
    assert any(each.whole for each in drawing.guesses(page))


def glyph(level: int) -> Glyph:
    return Glyph(np.full((28, 28), level, np.uint8), (0, 0, 1, 1))


@pytest.mark.parametrize(
    ("kind", "digits", "truths"),
    [
        ("scan", (7,), [(0, 7), (1, -1), (2, -1)]),  # a piece of a digit is none
        ("letters", (), [(0, -1), (1, -1), (2, -1)]),
        ("apart", (4, 2), [(0, -1), (1, 4), (2, 2)]),
        ("apart", (4, 2, 8), [(0, -1)]),  # two of them were joined: nobody knows which
        ("touching", (), [(0, -1)]),
    ],
)
def test_which_reading_is_right(
    kind: str, digits: tuple[int, ...], truths: list[tuple[int, int]]
) -> None:
    read = Drawing(glyph(0), (glyph(1), glyph(2)))
    found = choosing._with_truths(choosing.Picture(kind, digits, bytes), read)
    assert [(int(each.pixels_HW[0, 0]), truth) for each, truth in found] == truths


def test_a_font_or_a_photo_is_on_one_side_and_a_fifth_is_kept() -> None:
    fonts = [choosing.Picture("letters", (), bytes, f"font {n}") for n in range(500)]
    kept = [font.is_kept(0) for font in fonts]
    assert kept == [font.is_kept(9) for font in fonts]
    assert 70 < sum(kept) < 130  # a fifth, 100, and three standard deviations


def test_right_and_wrong_readings_weigh_alike_and_rare_kinds_more() -> None:
    kinds = np.array(["letters"] * 4000 + ["scan"] * 1000)
    right = np.arange(5000) >= 4000
    weight_N = choosing.weights_of(kinds, right)
    assert float(weight_N[~right].sum()) == pytest.approx(2500)
    assert float(weight_N[right].sum()) == pytest.approx(2500)
    some = choosing.weights_of(np.array(["a"] * 1600 + ["b"] * 400), np.zeros(2000, bool))
    assert float(some[-1] / some[0]) == pytest.approx(2)
