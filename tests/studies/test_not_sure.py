"""What studies/not_sure/learn.py chooses with."""

import doodles
import learn as choosing
import numpy as np
import pytest
import torch

from digits.images import drawing
from digits.prediction import confidence
from support.drawn import training


def test_doodles_are_the_same_each_time_and_none_is_blank() -> None:
    pages = list(doodles.several(len(doodles.KINDS), seed=3))
    assert pages == list(doodles.several(len(doodles.KINDS), seed=3))
    assert len(set(pages)) == len(pages)
    assert all(drawing.read(page).whole is not None for page in pages)


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
    seen = choosing.seen(map(choosing.coarse, training()[0][:8]))
    assert seen.shape == (8, 28, 28)
