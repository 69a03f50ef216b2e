"""How sure a prediction is: probabilities that are as often right as they say, and a score for
whether an image shows a digit at all. Shapes: N images, P pixels, D features, H units, K = 10
classes.

studies/not_sure/learn.py chose the numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.images.drawn import WAYS, Glyph

BEHIND = 0.65  # to be sure, what another way's score than the first's counts: some finds a digit
FILE = Path(__file__).with_name("confidence.npz")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sure:
    """A small network tells right readings from wrong ones and from what is no digit; a prediction
    is sure when its output times the probability of the digit, its score, reaches `least`.
    """

    temperature: float
    threshold: float
    weight_HD: Floats
    bias_H: Floats
    weight_1H: Floats
    bias_1: Floats

    def score(self, glyphs: Sequence[Glyph], p_NK: Floats) -> Floats:
        """In [0, 1], of what the model saw and its calibrated probabilities."""
        x_ND = np.stack([features(glyph) for glyph in glyphs])
        hidden_NH = np.maximum(x_ND @ self.weight_HD.T + self.bias_H, 0)
        logit_N = (hidden_NH @ self.weight_1H.T + self.bias_1)[:, 0]
        score_N: Floats = p_NK.max(1) / (1 + np.exp(-np.clip(logit_N, -60, 60)))
        return score_N

    def least(self, glyph: Glyph) -> float:
        """The score from which a prediction of it is sure."""
        is_other = glyph.traits[-WAYS:][:1] == (0.0,)
        return self.threshold / BEHIND if is_other else self.threshold


def features(glyph: Glyph) -> Floats:
    """Pixels in [0, 1], and the reading's traits."""
    pixels_P = glyph.pixels_HW.ravel().astype(np.float32) / 255
    return np.concatenate([pixels_P, np.array(glyph.traits, np.float32)])


@cache
def measured() -> Sure:
    with np.load(FILE) as parts:
        weights = (parts[name].astype(np.float32) for name in "abcd")
        return Sure(float(parts["temperature"]), float(parts["threshold"]), *weights)


def tempered(p_NK: Floats, temperature: float) -> Floats:
    """The probabilities of the logits divided by `temperature` (Guo et al. 2017, section 4.2)."""
    log_NK = np.log(np.maximum(p_NK, 1e-37)) / temperature
    powers_NK = np.exp(log_NK - log_NK.max(1, keepdims=True))
    tempered_NK: Floats = powers_NK / powers_NK.sum(1, keepdims=True)
    return tempered_NK
