"""What a run saves is gone on from; a part of another kind is not."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    Timer,
)
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

from digits.data.datamodule import MNISTDataModule
from digits.model.classifier import DigitClassifier
from digits.model.rmsprop import RMSprop
from digits.runs.checkpoint import check_state, read
from digits.training import step
from digits.training.exact_state import ExactState
from digits.training.pauses import Pauses
from digits.training.saving import AtomicCheckpointIO, LastCheckpoint
from digits.training.scores import BestScores
from digits.training.summary import RunSummary
from digits.training.trainer import quieten_lightning

Content = dict[str, Any]

SETTINGS = {
    "data._target_": "digits.data.datamodule.MNISTDataModule",
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


COSINE = partial(CosineAnnealingLR, T_max=3)
RMSPROP = partial(RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)


def new_model(
    scheduler: Callable[[Optimizer], LRScheduler] | None = COSINE,
    optimizer: Callable[..., Optimizer] = RMSPROP,
) -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(2, optimizer, scheduler)


def fit(
    folder: Path,
    ckpt_path: Path | None = None,
    model: DigitClassifier | None = None,
    stopping: EarlyStopping | None = None,
    more: Sequence[Callback] = (),
    **options: Any,
) -> DigitClassifier:
    """Three epochs of five steps, each saved; or the rest of them."""
    quieten_lightning()
    model, every_step = model or new_model(), LastCheckpoint(str(folder), train_time_interval=0)
    stopping = stopping or EarlyStopping("val/loss", patience=3)
    summary, exact, best = RunSummary(str(folder)), ExactState(SETTINGS), BestScores()
    defaults = {"accelerator": "cpu", "max_epochs": 3, "num_sanity_val_steps": 0}
    trainer = L.Trainer(
        logger=False,
        callbacks=[best, every_step, stopping, summary, *more, exact, Pauses()],
        plugins=AtomicCheckpointIO(),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **defaults | options,
    )
    step.install(trainer)
    data = Data(batch_size=8, val_size=8)
    trainer.fit(model, data, ckpt_path=str(ckpt_path) if ckpt_path else None, weights_only=True)
    return model


@pytest.fixture(scope="module")
def every_step() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "LOOK_EVERY", 0.0)
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
    check_state(content, new_model())


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
OTHERS = (GONE, None, "x", [], {}, [[]], {"x": 1}, math.nan, 0.5, torch.zeros(3))
STATE = ("loops", "optimizer_states", "lr_schedulers", "processes", "callbacks", "metrics")

# What may be one thing or another, each a pattern
FREE = [
    "loops",  # with more in them, that nobody reads
    "loops test_loop*",
    "loops validate_loop*",
    "loops predict_loop*",
    "loops fit_loop",
    "loops fit_loop *_dict",
    "loops fit_loop state_dict combined_loader",
    "loops fit_loop epoch_loop.* started",
    "loops fit_loop epoch_loop.* processed",
    "loops fit_loop epoch_loop.* is_last_batch",
    "loops fit_loop epoch_progress * started",
    "loops fit_loop epoch_progress total processed",
    "callbacks",
    "callbacks RunSummary*",  # looks at them itself
    "callbacks EarlyStopping*}",
    "callbacks EarlyStopping* best_score",
    "callbacks EarlyStopping* stopping_reason*",
    "metrics*",
    "optimizer_states 0",
    "optimizer_states 0 state",  # of weights that have not learned yet there is none
    "optimizer_states 0 state ?",
    "optimizer_states 0 param_groups 0 weight_decay",
    "lr_schedulers 0 T_max",
    "lr_schedulers 0 last_epoch",
    "lr_schedulers 0 _step_count",
    "processes 0",
    "processes 0 logged",  # looked at as they are loaded
    "processes 0 random",
    "processes 0 random numpy*",
    "processes 0 random python 2",
    "processes 0 random torch",
    "processes 0 scores *_score _update_count",
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


def at(node: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        node = node[key]
    return node


def others(value: Any) -> Iterator[Any]:
    """What may stand for `value`, and is of another kind."""
    yield from (other for other in OTHERS if type(other) is not type(value))
    if isinstance(value, torch.Tensor):
        yield from (value.to(torch.float16), value[None], value.expand(2, *value.shape))
        if value.is_floating_point():
            yield torch.full_like(value, math.inf)
    elif isinstance(value, float):
        yield from (math.nan, math.inf)
    elif isinstance(value, dict):
        yield {}
    elif isinstance(value, list | tuple):
        yield from ([], [*value, *value, 1])


def refuses(content: Content, model: DigitClassifier) -> bool:
    try:
        check_state(content, model)
    except Exception:
        return True
    return False


def is_free(place: tuple[Any, ...]) -> bool:
    return any(fnmatch(" ".join(map(str, place)), free) for free in FREE)


def test_a_part_of_another_kind_is_refused(whole: tuple[Path, Content]) -> None:
    _, content = whole
    model = new_model()
    for place in places(content):
        if place[0] in STATE and not is_free(place):
            for other in others(at(content, place)):
                assert refuses(changed(content, place, other), model), (place, other)


def test_a_weight_that_has_not_learned_yet_has_no_state(whole: tuple[Path, Content]) -> None:
    states = whole[1]["optimizer_states"][0]
    for kept in ({}, {index: states["state"][index] for index in (2, 3)}):
        check_state(whole[1] | {"optimizer_states": [states | {"state": kept}]}, new_model())


class Stops(Callback):
    """Somebody's own, for a reason that it alone knows."""

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step == 7


class Keeps(Callback):
    """Somebody's own, with a state and a score."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        trainer.optimizers[0].param_groups[0]["weight_decay"] = trainer.global_step / 1000
        pl_module.log("mine/score_best", float(trainer.global_step))

    def state_dict(self) -> dict[str, Any]:
        return {"generator": np.random.default_rng(0).bit_generator.state, "pair": (1, None)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == self.state_dict()


def chained(optimizer: Optimizer) -> ChainedScheduler:
    return ChainedScheduler([StepLR(optimizer, 1), ExponentialLR(optimizer, 0.9)])


def sequential(optimizer: Optimizer) -> SequentialLR:
    return SequentialLR(optimizer, [StepLR(optimizer, 1), ExponentialLR(optimizer, 0.9)], [1])


HONEST: dict[str, dict[str, Any]] = {
    "milestones": {"scheduler": partial(MultiStepLR, milestones=[1, 2])},
    "chained": {"scheduler": chained},
    "sequential": {"scheduler": sequential},
    "one cycle": {"scheduler": partial(OneCycleLR, max_lr=0.1, total_steps=5), "optimizer": Adam},
    "own stop": {"more": [Stops()]},
    "own state": {"more": [Keeps()]},
    "timer": {"more": [Timer("00:01:00:00")]},
    "timer's end": {"more": [Timer(timedelta(microseconds=1))]},
    "no patience": {"stopping": EarlyStopping("val/loss", patience=0, mode="max")},
    "no patience, but a least number of epochs": {
        "stopping": EarlyStopping("val/loss", patience=1, mode="max"), "min_epochs": 4,
        "max_epochs": 6,
    },
    "accumulation": {"accumulate_grad_batches": 3},
    "more and more accumulation": {"more": [GradientAccumulationScheduler({0: 1, 1: 2})]},
    "validation within the epoch": {"val_check_interval": 2},
    "validation across epochs": {"val_check_interval": 7, "check_val_every_n_epoch": None},
    "steps limited": {"max_steps": 7, "max_epochs": -1},
}  # fmt: skip


@pytest.mark.parametrize("options", HONEST.values(), ids=HONEST.keys())
def test_whatever_a_run_saves_is_taken(
    options: dict[str, Any],
    every_step: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = copy.deepcopy(options)
    make = {key: options.pop(key) for key in ("scheduler", "optimizer") if key in options}
    refused, steps = [], []
    save = AtomicCheckpointIO.save_checkpoint

    def checked(self: AtomicCheckpointIO, checkpoint: Content, path: Path, **more: Any) -> None:
        stopping = checkpoint["callbacks"]
        for key in [key for key in stopping if key.startswith("EarlyStopping")]:
            named = checkpoint["settings"]
            named["callbacks.early_stopping.mode"] = "max" if "'max'" in key else "min"
            named["callbacks.early_stopping.patience"] = stopping[key]["patience"]
        save(self, checkpoint, path, **more)
        steps.append(checkpoint["global_step"])
        if refuses(read(str(path)), new_model(**make)):
            refused.append(steps[-1])

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", checked)
    often = ModelCheckpoint(tmp_path / "often", save_top_k=-1, every_n_train_steps=1)
    options["more"] = [*options.get("more", []), often]
    fit(tmp_path, model=new_model(**make), **options)
    assert refused == []
    assert steps


SAVED = {
    "after training": {"save_on_train_epoch_end": True},
    "after validation": {"save_on_train_epoch_end": False, "monitor": "val/loss"},
    "after the last step": {"every_n_train_steps": 5},
    "after another step": {"every_n_train_steps": 3},
}


@pytest.mark.parametrize("how", SAVED.values(), ids=SAVED.keys())
def test_a_fit_goes_on_from_what_a_model_checkpoint_saved(
    how: dict[str, Any], every_step: None, tmp_path: Path
) -> None:
    each = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, **how)
    expected = fit(tmp_path / "whole", more=[each]).state_dict()
    rest = fit(tmp_path / "rest", tmp_path / "epoch=0.ckpt").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in rest.items())
