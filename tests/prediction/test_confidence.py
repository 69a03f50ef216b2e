"""Calibrated probabilities, and what counts as sure."""

import numpy as np
import pytest

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
    weight_HD = np.zeros((1, 784), np.float32)
    weight_HD[0, 0] = 1  # the hidden unit is the first pixel
    parts = weight_HD, np.zeros(1, np.float32), np.full((1, 1), 4, np.float32), -np.ones(1)
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 0, 0] = 255
    score = confidence.Sure(1.0, 0.5, *parts).score(images, np.full((2, 10), 0.1, np.float32))
    expected = 0.1 / (1 + np.exp(1)), 0.1 / (1 + np.exp(-3))
    np.testing.assert_allclose(score, expected, rtol=1e-6)


def test_the_measured_numbers_are_those_of_the_documentation() -> None:
    measured = confidence.measured()
    assert measured.temperature == pytest.approx(1.25)
    assert measured.threshold == pytest.approx(0.3998, abs=1e-4)
    assert measured.weight_HD.shape[1] == 784
    assert confidence.FILE.stat().st_size < 300_000
