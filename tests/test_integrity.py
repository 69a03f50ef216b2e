"""A checkpoint in which anything at all is changed is refused, or can be gone on from."""

import math
import random
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from digits import integrity, loop, runs
from digits.datamodule import MNISTDataModule
from digits.model import DigitClassifier
from digits.optim import RMSprop
from digits.saving import AtomicCheckpointIO, LastCheckpoint
from digits.state import ExactState
from digits.summary import RunSummary

Content = dict[str, Any]

SETTINGS = {
    "data._target_": "digits.datamodule.MNISTDataModule",
    "trainer.accumulate_grad_batches": 1,
    "trainer.precision": "32-true",
    "callbacks.early_stopping._target_": "lightning.pytorch.callbacks.EarlyStopping",
    "callbacks.early_stopping.monitor": "val/loss",
    "callbacks.early_stopping.mode": "min",
    "callbacks.early_stopping.patience": 3,
}


class Data(MNISTDataModule):
    def prepare_data(self) -> None: ...

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (40, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (40,), generator=generator)
        self.train, self.val = (images, labels), (images[:8], labels[:8])


def new_model(kind: type[DigitClassifier] = DigitClassifier) -> DigitClassifier:
    torch.manual_seed(0)
    rmsprop = partial(RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)
    return kind(8, rmsprop, partial(CosineAnnealingLR, T_max=3))


def fit(
    folder: Path,
    ckpt_path: Path | None = None,
    kind: type[DigitClassifier] = DigitClassifier,
    *more: L.Callback,
) -> DigitClassifier:
    """Three epochs of five steps, each saved; or the rest of them."""
    runs.quieten_lightning()
    model, every_step = new_model(kind), LastCheckpoint(str(folder), train_time_interval=0)
    stopping = EarlyStopping("val/loss", patience=3)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        max_epochs=3,
        callbacks=[every_step, stopping, RunSummary(str(folder)), ExactState(SETTINGS), *more],
        plugins=AtomicCheckpointIO(),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
    loop.install(trainer)
    trainer.fit(model, Data(batch_size=8, val_size=8), ckpt_path=ckpt_path, weights_only=True)
    return model


@pytest.fixture(scope="module")
def every_step() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOOK_EVERY", 0.0)
        yield


@pytest.fixture(scope="module")
def whole(every_step: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Content]:
    """What a fit saved before its last step."""
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    path = folder / "previous.ckpt"
    return path, torch.load(path, weights_only=True)


def test_the_state_is_from_within_an_epoch(whole: tuple[Path, Content]) -> None:
    _, content = whole
    assert content["global_step"] == 14
    integrity.check(content, new_model())


def places(node: Any, *place: Any) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, *place, key)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from places(value, *place, index)


GONE = object()
CHECKED_ELSEWHERE = ("state_dict", "settings")  # as it is compared with what it should be
NEVER_LOADED = (("loops", "validate_loop"), ("loops", "test_loop"), ("loops", "predict_loop"))

# What may be one thing or another, as far as anyone can know, each part of its place a pattern
FREE = [
    "hparams_name",
    "loops fit_loop",  # with more in it, that nobody reads
    "loops fit_loop *state_dict *",
    "loops fit_loop *state_dict",
    "loops fit_loop epoch_loop.*_progress *",  # of a step, or a validation, that is over
    "loops fit_loop epoch_progress total started",
    "callbacks RunSummary *",  # times, and what metrics.json is told
    "callbacks EarlyStopping* *",
    "lr_schedulers 0 _step_count",
    "optimizer_states 0 param_groups 0 foreach",
    "processes *",
    "metrics *",
]


def changed(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(node, dict):
        other = {key: changed(v, rest, value) if key == first else v for key, v in node.items()}
        return {key: v for key, v in other.items() if v is not GONE}
    parts = [changed(v, rest, value) if i == first else v for i, v in enumerate(node)]
    return type(node)(part for part in parts if part is not GONE)


def others(value: Any) -> Iterator[Any]:
    """What may stand for `value` in a damaged file."""
    yield from (GONE, None, "x", -1, 1 << 62, 0.5, math.nan, [], {}, [[]], torch.zeros(3))
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1, [value], str(value), {"x": value})
    elif isinstance(value, dict):
        yield from (value | {"x": 1}, value | {"items": 1, "get": 2}, list(value.values()))
    elif isinstance(value, list | tuple):
        yield from ([*value, 1], [*value, *value], dict(enumerate(value)))
    elif isinstance(value, torch.Tensor):
        yield from (value.double(), value[None], value.expand(2, *value.shape), value.tolist())
        yield torch.full_like(value, -1 if value.dtype != torch.uint8 else 255)


def damaged(content: Content) -> Iterator[tuple[tuple[Any, ...], Content]]:
    for place in places(content):
        if place[0] not in CHECKED_ELSEWHERE and place[:2] not in NEVER_LOADED:
            value = content
            for key in place:
                value = value[key]
            for other in others(value):
                yield place, changed(content, place, other)


def refuses(content: Content, model: DigitClassifier) -> bool:
    """Other exceptions than those that become one line are faults."""
    try:
        integrity.check(content, model)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError):
        return True
    return False


def is_free(place: tuple[Any, ...]) -> bool:
    return any(all(map(fnmatch, map(str, place), free.split(" "))) for free in FREE)


def test_whatever_is_changed_is_refused_unless_it_may_be_anything(
    whole: tuple[Path, Content], tmp_path: Path
) -> None:
    _, content = whole
    model, taken = new_model(), []
    for place, other in damaged(content):
        if not refuses(other, model):
            assert is_free(place), place
            taken += [other]
    assert len(taken) > 100
    for other in random.Random(0).sample(taken, 8):
        torch.save(other, tmp_path / "other.ckpt")
        fit(tmp_path / "rest", tmp_path / "other.ckpt")  # raises nothing


class Fading(DigitClassifier):
    """Trains on images as bright as a generator says."""

    draw: Callable[[], float]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x_BHW, y_B = batch
        return super().training_step((x_BHW * type(self).draw(), y_B), batch_idx)


DRAWS = {
    "python": lambda: random.random(),
    "numpy": lambda: float(np.random.uniform()),
    "torch": lambda: torch.rand(()).item(),
}


@pytest.mark.parametrize("generator", DRAWS)
def test_a_fit_that_goes_on_draws_what_it_would_have_drawn(
    generator: str, every_step: None, tmp_path: Path
) -> None:
    kind = type("Fading", (Fading,), {"draw": staticmethod(DRAWS[generator])})
    expected = fit(tmp_path, None, kind)
    for draw in DRAWS.values():
        draw()
    model = fit(tmp_path / "rest", tmp_path / "previous.ckpt", kind)
    assert all(map(torch.equal, model.parameters(), expected.parameters()))


class Metrics(L.Callback):
    """What is known when the first step begins."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.at_the_start = {name: v.item() for name, v in trainer.callback_metrics.items()}


def test_a_fit_that_goes_on_knows_the_last_metrics(
    whole: tuple[Path, Content], tmp_path: Path
) -> None:
    path, content = whole
    seen = Metrics()
    fit(tmp_path, path, DigitClassifier, seen)
    names = {"train/loss", "train/acc", "val/loss", "val/acc", "val/loss_best", "val/acc_best"}
    assert seen.at_the_start.keys() == names
    assert seen.at_the_start == content["metrics"]
