"""How far probabilities are from what comes true. Shapes: N images, K classes."""

import numpy as np

from digits.inspection.statistics import Floats, Ints
from digits.prediction import confidence


def temperature(p_NK: Floats, y_N: Ints) -> float:
    """What the logits must be divided by for the probabilities to be right as often as they say
    (Guo et al. 2017, section 4.2): the least cross-entropy.
    """
    candidates = np.arange(0.3, 4, 0.01)
    loss = [
        -np.log(confidence.tempered(p_NK, t)[np.arange(len(y_N)), y_N]).mean() for t in candidates
    ]
    return float(candidates[int(np.argmin(loss))])


def brier(p_NK: Floats, y_N: Ints) -> float:
    """The squared distance from the truth, summed over classes: 0 to 2 (Brier, 1950)."""
    truth_NK = np.eye(p_NK.shape[1])[y_N]
    return float(((p_NK - truth_NK) ** 2).sum(1).mean())
