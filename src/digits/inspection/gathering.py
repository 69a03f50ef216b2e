"""A run's evidence, of what all its processes have heard. Shapes: N images, U units, K classes, H W
pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.inspection.evidence import (
    LARGEST,
    LONGEST_NAME,
    MAX_CLASSES,
    NAMES_OF_CLASSES,
    Evidence,
    Pixels,
)
from digits.inspection.listening import Gatherer, Mistakes, is_labelled, pictures

MOST_SCORES = 1 << 25  # N * K: of more, no precision-recall curves
SAMPLES = 32
UNITS = 64  # of the first layer, those with the largest weights


def first_weights(module: nn.Module, side: int | None) -> tuple[NDArray[np.float32], int]:
    """Of the first layer that has some and looks at pixels: (U, H, W) for the units whose weights
    are largest, and how many there are.
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        weight = layer.weight.detach().float()
        if isinstance(layer, nn.Conv2d):
            weight = weight.mean(1)
        elif side and weight.shape[1] == side * side:
            weight = weight.view(-1, side, side)
        else:
            break
        largest = weight.flatten(1).norm(dim=1).argsort(descending=True)[:UNITS]
        tiles = weight[largest.sort().values].cpu().numpy()
        if max(tiles.shape[1:]) <= LARGEST and np.isfinite(tiles).all():
            return tiles, len(weight)
        break
    return np.zeros((0, 1, 1), np.float32), 0


def samples(data: Any) -> tuple[Pixels, NDArray[np.int64]]:
    """The first training images of a data module that has them in memory, and their labels."""
    train: Any = getattr(data, "train", None)
    if is_labelled(train) and isinstance(train[0], Tensor):
        shown = pictures(train[0][:SAMPLES])
        if shown is not None:
            return shown, train[1][:SAMPLES].cpu().numpy()
    return np.zeros((0, 1, 1), np.uint8), np.zeros(0, np.int64)


def evidence(
    gathered: Gatherer, stage: str, module: nn.Module, data: Any
) -> tuple[Evidence, NDArray[np.float32]] | None:
    """Of all processes, and the probabilities (N, K); None for other processes than the first, and
    where nothing was gathered, of too many classes or none (labels below 0), or no probabilities.
    """
    mine = (*gathered.scores(), gathered.worst) if gathered.count else None
    parts = [part for part in _of_all(mine) if part]
    if not parts:
        return None
    labels_N, probabilities_NK = (_interleaved([part[n] for part in parts]) for n in (0, 1))
    worst = Mistakes()
    for rank, (_, _, found) in enumerate(parts):
        worst.merge(found.places_M * len(parts) + rank, found.confidence_M, found.pictures_M)
    weights_UHW, units = first_weights(module, getattr(data, "side", None))
    shown_SHW, sample_labels_S = samples(data)
    classes = max(probabilities_NK.shape[1], int(labels_N.max()) + 1,
                  int(sample_labels_S.max(initial=0)) + 1)  # fmt: skip
    if classes > MAX_CLASSES or labels_N.min() < 0 or not np.isfinite(probabilities_NK).all():
        return None
    every = np.arange(len(labels_N))
    return Evidence(
        stage=np.array(stage),
        names_K=names(data, classes),
        labels_N=_small(labels_N),
        predicted_N=_small(probabilities_NK.argmax(1)),
        confidence_N=probabilities_NK.max(1),
        true_probability_N=probabilities_NK[
            every, labels_N.clip(max=probabilities_NK.shape[1] - 1)
        ],
        shown_M=worst.places_M,
        pictures_MHW=np.zeros((0, 1, 1), np.uint8)
        if worst.pictures_M is None
        else worst.pictures_M,
        samples_SHW=shown_SHW,
        sample_labels_S=_small(sample_labels_S),
        weights_UHW=weights_UHW,
        units=np.array(units),
    ), probabilities_NK


def names(data: Any, classes: int) -> NDArray[np.str_]:
    """What the data module calls its classes, or their numbers."""
    told = getattr(data, NAMES_OF_CLASSES, None)
    if isinstance(told, Sequence) and len(told) >= classes:
        return np.array([str(name)[:LONGEST_NAME] for name in told])
    return np.array([str(label) for label in range(classes)])


def _of_all(mine: Any) -> list[Any]:
    """Of each process, for the first one."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    parts = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(mine, parts)
    return parts or []


def _interleaved(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Process `rank` of n had the images rank, rank + n, ..."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


def _small(labels_N: NDArray[Any]) -> NDArray[np.int32]:
    return labels_N.astype(np.int32)
