"""Ours and the bare loop from one start, in one order: how the losses part, step by step."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from parity import bare
from parity.record import BATCH, EPOCHS
from torch import Tensor

from digits import machine
from digits.data import idx, mnist
from digits.data.batches import Batches, EpochShuffle
from digits.data.unpacking import raw_dir
from digits.model.classifier import DigitClassifier
from digits.model.rmsprop import RMSprop
from digits.training.step import Step

POINTS = 60  # of a curve, from the first step to the last


def run(seed: int) -> dict[str, Any]:
    """Return the curves, by the last step of each point: the largest difference up to there."""
    machine.flush_denormals()
    model = _start(seed)
    ours = list(_ours(model, seed))
    plain = list(_bare(_start(seed).net, seed))
    nudged: Any = _start(seed).net
    with torch.no_grad():  # one weight of 407,050 becomes the next float
        weight = nudged[1].weight[255, 406]  # of a pixel in the middle
        weight.copy_(torch.nextafter(weight, torch.tensor(torch.inf)))
    moved = list(_bare(nudged, seed))
    curves = {"ours": _apart(ours, plain), "nudged": _apart(moved, plain)}
    ends = sorted({round(len(ours) ** (part / POINTS)) for part in range(POINTS + 1)})
    return {
        "weights": bare.fingerprint(model.net.parameters()),
        "steps": ends,
        "apart": {name: [curve[end - 1] for end in ends] for name, curve in curves.items()},
        "below_1e-6": {name: sum(d < 1e-6 for d in curve) for name, curve in curves.items()},
        "after_200": {name: curve[199] for name, curve in curves.items()},
    }


def _start(seed: int) -> DigitClassifier:
    torch.manual_seed(seed)
    return DigitClassifier(512, partial(RMSprop, lr=bare.LR, alpha=bare.ALPHA, eps=bare.EPS))


def _ours(model: DigitClassifier, seed: int) -> Iterator[float]:
    images, labels = idx.read(raw_dir(None), mnist.TRAIN)
    batches = Batches(images, labels, BATCH, EpochShuffle(len(labels), seed))
    batches.keep_buffers()
    assert model.make_optimizer
    step = Step(model, model.make_optimizer(model.parameters()))
    assert step.update
    for epoch in range(EPOCHS):
        batches.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        for x_BHW, y_B in batches:
            yield step.set_gradients(x_BHW, y_B).item()
            step.update()


def _bare(net: Any, seed: int) -> Iterator[float]:
    x, y = bare.read(mnist.TRAIN)
    shuffle = EpochShuffle(len(y), seed)

    def order(epoch: int) -> Tensor:
        shuffle.set_epoch(epoch)
        return shuffle.indices()

    for loss, _ in bare.train(net, bare.torchs_rmsprop(net.parameters()), x, y, order):
        yield loss.item()


def _apart(losses: list[float], others: list[float]) -> list[float]:
    """Return the largest difference so far, after each step."""
    most, found = 0.0, []
    for loss, other in zip(losses, others, strict=True):
        most = max(most, abs(loss - other))
        found.append(most)
    return found
