"""Calibrated probabilities, and what counts as sure."""

import numpy as np
import pytest

from digits.images.drawn import TRAITS, WAYS, Glyph
from digits.prediction import confidence


def test_temperature_divides_the_logits() -> None:
    logits_NK = np.array([[2.0, 0.0, -3.0], [1.0, 1.0, 0.5]], np.float32)

    def softmax(z_NK: np.ndarray) -> np.ndarray:
        powers = np.exp(z_NK)
        return powers / powers.sum(1, keepdims=True)

    np.testing.assert_allclose(
        confidence.tempered(softmax(logits_NK), 1.7), softmax(logits_NK / 1.7), rtol=1e-5
    )
    assert confidence.tempered(np.array([[1, 0]], np.float32), 2)[0].tolist() == [
        1,
        pytest.approx(0),
    ]


def test_the_score_is_the_products_of_both_networks() -> None:
    weight_HD = np.zeros((1, 784 + TRAITS), np.float32)
    weight_HD[0, 0], weight_HD[0, 785] = 1, 2  # the first pixel, and twice the second trait
    parts = weight_HD, np.zeros(1, np.float32), np.full((1, 1), 4, np.float32), -np.ones(1)
    images = np.zeros((3, 28, 28), np.uint8)
    images[1, 0, 0] = 255
    first, second = (1.0, *[0.0] * (WAYS - 1)), (0.0, 1.0, *[0.0] * (WAYS - 2))
    few, more = [0.0] * (TRAITS - WAYS), [9.0, 0.25, *[9.0] * (TRAITS - WAYS - 2)]
    traits = (*few, *first), (*few, *second), (*more, *first)
    glyphs = [Glyph(image, (0, 0, 1, 1), each) for image, each in zip(images, traits, strict=True)]
    sure = confidence.Sure(1.0, 0.26, *parts)
    score = sure.score(glyphs, np.full((3, 10), 0.1, np.float32))
    expected = 0.1 / (1 + np.exp(1)), 0.1 / (1 + np.exp(-3)), 0.1 / (1 + np.exp(-1))
    np.testing.assert_allclose(score, expected, rtol=1e-6)
    # what another way than the first has found is worth 0.65 of that
    assert [sure.least(glyph) for glyph in glyphs] == [0.26, pytest.approx(0.4), 0.26]
    assert sure.least(Glyph(images[0], (0, 0, 1, 1))) == 0.26


def test_the_measured_numbers_are_those_of_the_documentation() -> None:
    measured = confidence.measured()
    assert measured.temperature == pytest.approx(1.27)
    assert measured.threshold == pytest.approx(0.5680, abs=1e-4)
    assert measured.weight_HD.shape[1] == 784 + TRAITS
    assert confidence.FILE.stat().st_size < 400_000
