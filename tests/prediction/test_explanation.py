"""Why one digit and not another: the parts sum to the logits' difference."""

import numpy as np
import pytest

from digits.prediction import explanation
from digits.prediction.explanation import Unit, Why
from digits.prediction.network import Weights, shipped
from support.drawn import training


def difference(why: Why) -> float:
    return float(np.sum(why.pixels)) + why.bias


def test_by_hand() -> None:
    """Of three units two are active."""
    first_HP, second_KH = np.zeros((3, 784), np.float32), np.zeros((10, 3), np.float32)
    first_HP[:, :2] = [[1, 2], [-1, 4], [-5, -5]]
    second_KH[[4, 9]] = [[2, 1, 7], [1, -2, 7]]
    bias_H, bias_K = np.array([0.5, 0, 0], np.float32), np.zeros(10, np.float32)
    bias_K[4] = 0.25
    image_HW = np.zeros((28, 28), np.uint8)
    image_HW[0, :2] = 255
    # the units give 3.5 and 3, and weigh 2 - 1 = 1 and 1 - -2 = 3 more for a 4 than for a 9
    why = explanation.of(Weights(first_HP, bias_H, second_KH, bias_K), image_HW, 4, 9)
    assert why.pixels[0][:3] == [1 * 1 + 3 * -1, 1 * 2 + 3 * 4, 0]
    assert why.bias == 0.5 + 0.25
    assert difference(why) == pytest.approx((2 * 3.5 + 3 + 0.25) - (3.5 - 2 * 3))
    assert why.units == [Unit(1, 3, 9), Unit(0, 3.5, 3.5), Unit(2, 0, 0)]


def test_of_the_network_that_comes_with_the_package() -> None:
    images_NHW, weights = training()[0][:20], shipped()
    logits_NK = weights.hidden(images_NHW) @ weights.second_KH.T + weights.bias_K
    for image_HW, logits_K in zip(images_NHW, logits_NK, strict=True):
        first, second = np.argsort(-logits_K)[:2].tolist()
        why = explanation.of(weights, image_HW, first)
        assert why.instead_of == second
        # float32 sums of 512 products that are below 20: 512 * 20 * 6e-8
        assert difference(why) == pytest.approx(logits_K[first] - logits_K[second], abs=1e-4)
        assert not np.array(why.pixels)[image_HW == 0].any()
        other = explanation.of(weights, image_HW, 3, 8)
        assert difference(other) == pytest.approx(logits_K[3] - logits_K[8], abs=1e-4)
        assert len(other.units) == 12
