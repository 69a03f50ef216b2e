"""A run's evidence, from a pass over the images once they are tested. Shapes: B batch, N images,
P classes that the network knows, U units, H W pixels.
"""

import logging
import math
from collections.abc import Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data.batches import seeded
from digits.inspection.evidence import (
    LARGEST,
    LONGEST_NAME,
    MAX_CLASSES,
    MOST_PICTURES,
    MOST_SCORES,
    NAMES_OF_CLASSES,
    Evidence,
    Pixels,
)
from digits.inspection.looks import random_kept
from digits.text import flat

log = logging.getLogger(__name__)

FEW, SHARE = 2, 0.05
SAMPLES = 32
UNITS = 64  # of the first layer, those with the largest weights
NO_PICTURES = np.zeros((0, 1, 1), np.uint8)

Mistake = tuple[int, float, Pixels]  # place, confidence, picture
Answers = tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[Mistake]]  # places, labels, ...


def evidence(trainer: L.Trainer, module: L.LightningModule, stage: str) -> Evidence | None:
    """Of the first loader of `stage` (test, val): what `module`, whose `forward` gives logits
    (B, P > 1) or probabilities, answers to the images of its batches (x, y).

    None for other processes than the first, and for models and data of other kinds.
    """
    if not is_whole(trainer):
        return None
    mine = None
    try:
        with random_kept(), torch.no_grad(), trainer.precision_plugin.forward_context():
            mine = _answers(
                module, batches(trainer, stage), trainer.global_rank, trainer.world_size
            )
    except Exception as error:  # somebody's model, which takes something else
        log.info("no evidence of the %s images: %s", stage, flat(str(error) or repr(error))[:200])
    parts: list[Answers | None] = [mine] * trainer.world_size
    if trainer.world_size > 1:
        dist.gather_object(mine, parts if trainer.is_global_zero else None)
    whole = [part for part in parts if part]
    if not trainer.is_global_zero or len(whole) < len(parts):
        return None
    loader = _loader(trainer, stage)
    images = getattr(loader, "dataset", None) if getattr(loader, "batch_size", None) else None
    size = len(images) if isinstance(images, Sized) else None
    places_N, labels_N, probabilities_NP = map(np.concatenate, list(zip(*whole, strict=True))[:3])
    order = np.argsort(places_N)[:size]  # what is more was repeated, so that all had equally many
    worst = _worst([each for part in whole for each in part[3] if each[0] < len(order)])
    data = trainer.datamodule  # type: ignore[attr-defined]
    return _evidence(labels_N[order], probabilities_NP[order], worst, stage, module, data)


def is_whole(trainer: L.Trainer) -> bool:
    """Whether each process has all weights, and can call the model alone."""
    return trainer.world_size == 1 or isinstance(trainer.strategy, DDPStrategy)


def _loader(trainer: L.Trainer, stage: str) -> Any:
    """The first one."""
    loaders: Any = trainer.test_dataloaders if stage == "test" else trainer.val_dataloaders
    return loaders[0] if isinstance(loaders, Sequence) else loaders


def batches(trainer: L.Trainer, stage: str) -> Iterator[Any]:
    """Of its first loader, as a step gets them."""
    (count, *_) = trainer.num_test_batches if stage == "test" else trainer.num_val_batches
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    is_datas = data and is_overridden("on_before_batch_transfer", data, L.LightningDataModule)
    owner = data if is_datas else trainer.lightning_module
    for batch in islice(_loader(trainer, stage), int(count) if math.isfinite(count) else None):
        moved = owner.on_before_batch_transfer(trainer.precision_plugin.convert_input(batch), 0)
        yield trainer.strategy.batch_to_device(moved)


def _answers(module: nn.Module, batches: Iterator[Any], rank: int, processes: int) -> Answers:
    """Of this process, which has the images rank, rank + processes, ... Raises whatever if the
    batches, or what it answers, are no classifier's.
    """
    labels: list[Tensor] = []
    answers: list[Tensor] = []
    wrong: list[Mistake] = []
    place = rank
    for batch in batches:
        if not is_labelled(batch):
            raise TypeError("its batches are not (images, labels)")
        x_B, y_B = batch[:2]
        labels.append(y_B.cpu())
        answers.append(probabilities(module(x_B)))
        count, *others = answers[-1].shape
        if count != len(y_B) or len(others) != 1 or others[0] < 2:
            raise TypeError("its answers are no logits (B, K)")
        places_B = torch.arange(len(y_B)) * processes + place
        wrong = _worst([*wrong, *_mistakes(x_B, y_B, answers[-1], places_B)])
        place += len(y_B) * processes
    labels_N = torch.cat(labels).numpy()
    places_N = np.arange(len(labels_N)) * processes + rank
    return places_N, labels_N, torch.cat(answers).cpu().numpy(), wrong


def is_labelled(batch: Any) -> bool:
    """Whether it is (x, y) with a class for each image."""
    if not isinstance(batch, Sequence) or len(batch) < 2 or not isinstance(batch[1], Tensor):
        return False
    return batch[1].ndim == 1 and not batch[1].is_floating_point()


def probabilities(logits_BP: Tensor) -> Tensor:
    """Float32, on the logits' device. What adds up to 1 is taken for probabilities already."""
    logits_BP = logits_BP.float()
    are_already = bool((logits_BP >= 0).all()) and torch.allclose(
        logits_BP.sum(1), torch.ones_like(logits_BP[:, 0]), atol=1e-4
    )
    return logits_BP.clamp(max=1) if are_already else logits_BP.softmax(1)


def _mistakes(x_B: Any, y_B: Tensor, answers_BP: Tensor, places_B: Tensor) -> Iterator[Mistake]:
    """Of a batch, if it has pictures."""
    confidence_B, predicted_B = (each.cpu() for each in answers_BP.max(1))
    wrong_M = (predicted_B != y_B.cpu()).nonzero()[:, 0]
    if isinstance(x_B, Tensor) and (shown := pictures(x_B[wrong_M.to(x_B.device)])) is not None:
        places, confidences = places_B[wrong_M].tolist(), confidence_B[wrong_M].tolist()
        yield from zip(places, confidences, shown, strict=True)


def _worst(found: list[Mistake]) -> list[Mistake]:
    return sorted(found, key=lambda mistake: -mistake[1])[:MOST_PICTURES]


def pictures(x_B: Tensor) -> Pixels | None:
    """Of images (B, H, W), (B, 1, H, W) or (B, 3, H, W) uint8, with three colours last; None of
    what is no picture. Other numbers than those in [0, 1] are spread over 0 to 255.
    """
    if x_B.ndim == 4 and x_B.shape[1] in (1, 3):
        x_B = x_B[:, 0] if x_B.shape[1] == 1 else x_B.movedim(1, 3)
    elif x_B.ndim != 3:
        return None
    if x_B.dtype != torch.uint8:
        x_B = x_B.detach().float()
        low, high = (float(bound) for bound in x_B.aminmax()) if x_B.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):
            x_B = (x_B - low) / max(high - low, 1e-12)
        x_B = (x_B * 255).round().to(torch.uint8)
    step = -(-max(x_B.shape[1:3]) // LARGEST)
    return np.ascontiguousarray(x_B[:, ::step, ::step].cpu().numpy())


def _evidence(
    labels_N: NDArray[Any], probabilities_NP: NDArray[Any], worst: list[Mistake], stage: str,
    module: nn.Module, data: Any,
) -> Evidence | None:  # fmt: skip
    """None of too many classes, none (labels below 0), or what are no probabilities."""
    weights_UHW, units = first_weights(module, getattr(data, "side", None))
    shown_SHW, sample_labels_S = samples(data)
    known = probabilities_NP.shape[1]
    if (why := _beyond(labels_N, probabilities_NP, data)) is not None:
        log.info("no evidence of the %s images: %s", stage, why)
        return None
    classes = max(known - 1, int(labels_N.max()), int(sample_labels_S.max(initial=0))) + 1
    if classes > MAX_CLASSES or labels_N.min() < 0 or not np.isfinite(probabilities_NP).all():
        return None
    keeps_all = probabilities_NP.size <= MOST_SCORES
    return Evidence(
        stage=np.array(stage),
        names_K=names(data, classes),
        labels_N=labels_N.astype(np.int32),
        predicted_N=probabilities_NP.argmax(1).astype(np.int32),
        confidence_N=probabilities_NP.max(1),
        probabilities_NP=probabilities_NP if keeps_all else np.zeros((0, 0), np.float32),
        shown_M=np.array([place for place, _, _ in worst], np.int64),
        pictures_MHW=np.stack([shown for _, _, shown in worst]) if worst else NO_PICTURES,
        samples_SHW=shown_SHW,
        sample_labels_S=sample_labels_S.astype(np.int32),
        weights_UHW=weights_UHW,
        units=np.array(units),
    )


def _beyond(labels_N: NDArray[Any], probabilities_NP: NDArray[Any], data: Any) -> str | None:
    """Return why P outputs are no classifier's (an autoencoder's pixels, an embedding); or None.

    A classifier has at most as many as its data module has classes (`classes`, `class_names`) or,
    if it tells none, FEW more than the labels seen in training and evaluated images, which may
    lack the last ones. One with more (a head of 1000 on ten classes) answers with the first ones,
    but for a SHARE.
    """
    told = getattr(data, NAMES_OF_CLASSES, None)
    named = len(told) if isinstance(told, Sequence) else 0
    counted = getattr(data, "classes", None)
    declared = max(named, counted if isinstance(counted, int) else 0)
    train: Any = getattr(data, "train", None)
    trained = int(train[1].max()) if is_labelled(train) and len(train[1]) else 0
    seen = max(trained, int(labels_N.max())) + 1
    classes, known = max(declared, seen), probabilities_NP.shape[1]
    share = float((probabilities_NP.argmax(1) >= classes).mean())
    if known <= classes + (0 if declared else FEW) or share <= SHARE:
        return None
    return (
        f"{known} outputs for {classes} classes, and {share:.0%} of the answers are none of these"
    )


def first_weights(module: nn.Module, side: int | None) -> tuple[NDArray[np.float32], int]:
    """Of the first layer that has some, if it looks at pixels: (U, H, W) for the units whose
    weights are largest, and how many there are.
    """
    layers = (each for each in module.modules() if isinstance(each, nn.Linear | nn.Conv2d))
    layer = next(layers, None)
    weight = torch.zeros(0) if layer is None else layer.weight.detach().float()
    if weight.ndim == 2 and side and weight.shape[1] in (side * side, 3 * side * side):
        weight = weight.view(len(weight), -1, side, side)
    if weight.ndim == 4:  # over its channels
        weight = weight.mean(1)
    if weight.ndim != 3 or max(weight.shape[1:]) > LARGEST or not weight.isfinite().all():
        return np.zeros((0, 1, 1), np.float32), 0
    largest = weight.flatten(1).norm(dim=1).argsort(descending=True)[:UNITS]
    return weight[largest.sort().values].cpu().numpy(), len(weight)


def samples(data: Any, count: int = SAMPLES) -> tuple[Pixels, NDArray[np.int64]]:
    """The first training images of a data module that has them in memory, and their labels. If it
    augments them, half as many, and then the same as an epoch might see them.
    """
    train: Any = getattr(data, "train", None)
    if is_labelled(train) and isinstance(train[0], Tensor):
        images, labels_S = train[0][:count], train[1][:count].cpu().numpy()
        if augment := getattr(data, "augment", None):
            images, labels_S = images[: count // 2], np.tile(labels_S[: count // 2], 2)
            x_SHW = augment(images, seeded(0, device=images.device), 0)
            images = torch.cat([images, x_SHW.mul(255).round().to(images.dtype)])
        shown = pictures(images)
        if shown is not None:
            return shown, labels_S
    return NO_PICTURES, np.zeros(0, np.int64)


def names(data: Any, classes: int) -> NDArray[np.str_]:
    """What the data module calls its classes, or their numbers."""
    told = getattr(data, NAMES_OF_CLASSES, None)
    if isinstance(told, Sequence) and len(told) >= classes:
        return np.array([str(name)[:LONGEST_NAME] for name in told])
    return np.array([str(label) for label in range(classes)])
