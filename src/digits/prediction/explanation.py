"""Why a network of the project's kind reads one digit and not another, exactly: after one layer of
ReLUs the difference of two logits is a sum over pixels. Shapes: P pixels, H hidden units, K = 10
classes.
"""

from dataclasses import dataclass

import numpy as np

from digits.data.mnist import SIDE
from digits.images.drawn import Pixels
from digits.prediction.network import Weights

MOST = 12  # units that are told


@dataclass(frozen=True)
class Unit:
    """A hidden unit, numbered from 0. Its share of the logits' difference is what it gives, times
    the difference of its weights to the two digits.
    """

    unit: int
    activation: float
    share: float


@dataclass(frozen=True)
class Why:
    """The logit of `digit` minus that of `instead_of` is exactly the sum of `pixels`, 28 rows of
    28, and `bias`. `units` are the dozen that count most.
    """

    digit: int
    instead_of: int
    pixels: list[list[float]]
    bias: float
    units: list[Unit]


def of(weights: Weights, seen_HW: Pixels, digit: int, instead_of: int | None = None) -> Why:
    """Why `digit`, and not `instead_of`, which is the next likeliest if it is None."""
    hidden_H = weights.hidden(seen_HW[None])[0]
    if instead_of is None:
        logits_K = weights.second_KH @ hidden_H + weights.bias_K
        instead_of = next(int(other) for other in np.argsort(-logits_K) if other != digit)
    towards_H = weights.second_KH[digit] - weights.second_KH[instead_of]
    lit_H = towards_H * (hidden_H > 0)
    pixels_P = seen_HW.ravel() / np.float32(255) * (lit_H @ weights.first_HP)
    bias = lit_H @ weights.bias_H + weights.bias_K[digit] - weights.bias_K[instead_of]
    share_H = hidden_H * towards_H
    most = np.argsort(-np.abs(share_H), kind="stable")[:MOST].tolist()
    units = [Unit(unit, float(hidden_H[unit]), float(share_H[unit])) for unit in most]
    return Why(digit, instead_of, pixels_P.reshape(SIDE, SIDE).tolist(), float(bias), units)
