"""Whether an exported file computes what its checkpoint does. Shapes: N images, H W pixels, K = 10
classes.
"""

import math
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

from digits.data import idx
from digits.data.mnist import SIDE, TEST
from digits.errors import InputError
from digits.files import DATA
from digits.prediction.predictor import Network

RAW = DATA / "MNIST" / "raw"
BATCHES = (0, 1, 2, 7, 1000)  # exporters freeze the batch they saw, or take 0 and 1 for constants

# A float32 logit is off by up to 1e-6 of the largest (measured for hidden_size 8 to 8192, trained
# or not). So the gap between two logits differs from one program to another by up to 4 times that,
# and a probability, whose slope is p (1 - p) <= 1/4, by as much as one logit is off.
ROUNDING = 1e-6


def shown(net: nn.Module, exported: Network) -> bool:
    """Whether both give the same probabilities; prints how much they differ."""
    samples = _samples()
    limits = [ROUNDING * max(1.0, _largest_logit(net, images)) for images in samples.values()]
    print("largest difference from the checkpoint's probabilities")
    print(_row("batch", samples))
    agree = True
    for size in BATCHES:
        differences = [_difference(net, exported, images[:size]) for images in samples.values()]
        print(_row(size, map("{:.1e}".format, differences)))
        agree &= all(map(float.__le__, differences, limits))  # false for NaN
    print(_row("limit", map("{:.1e}".format, limits)))
    return agree


def _row(first: object, cells: Iterable[str]) -> str:
    return f"{first:>5}" + "".join(f"{cell:>13}" for cell in cells)


def _samples() -> dict[str, Tensor]:
    """Images to compare on: noise reaches logits that digits do not."""
    generator = torch.Generator().manual_seed(0)
    size = (max(BATCHES), SIDE, SIDE)
    samples = {"noise": torch.randint(256, size, dtype=torch.uint8, generator=generator)}
    with suppress(InputError):  # they need not be here
        samples["test images"], _ = idx.read(RAW, TEST)
    return samples


def _logits(net: nn.Module, images_NHW: Tensor) -> Tensor:
    with torch.inference_mode():
        logits_NK: Tensor = net(images_NHW.float() / 255)
        return logits_NK


def _largest_logit(net: nn.Module, images_NHW: Tensor) -> float:
    return _logits(net, images_NHW).abs().max().item()


def _difference(net: nn.Module, exported: Network, images_NHW: Tensor) -> float:
    expected_NK = _logits(net, images_NHW).softmax(1).numpy()
    p_NK = exported(images_NHW.numpy())
    if p_NK.shape != expected_NK.shape or p_NK.dtype != expected_NK.dtype:
        return math.inf
    return float(np.abs(p_NK - expected_NK).max(initial=0))
