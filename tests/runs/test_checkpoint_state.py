"""What a run saves is gone on from; a part of another kind is not."""

import math
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
)
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
)

from digits.model.classifier import DigitClassifier
from digits.runs.checkpoint import check_state
from digits.training import step
from digits.training.summary import RunSummary
from support.fits import fit, reference

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


def new_model() -> DigitClassifier:
    return reference(scheduler=partial(CosineAnnealingLR, T_max=3))


def whole_fit(folder: Path, ckpt_path: Path | None = None, *more: Callback) -> DigitClassifier:
    """Each step is saved."""
    model, stopping = new_model(), EarlyStopping("val/loss", patience=3)
    callbacks = [stopping, RunSummary(str(folder)), *more]
    fit(folder, model, None, callbacks, ckpt_path, SETTINGS, every=0)
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
    whole_fit(folder)
    path = folder / "previous.ckpt"
    return path, torch.load(path, weights_only=True)


def test_the_state_is_from_within_an_epoch(whole: tuple[Path, Content]) -> None:
    _, content = whole
    assert content["global_step"] == 19
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


SAVED = {
    "after training": {"save_on_train_epoch_end": True},
    "after validation": {"save_on_train_epoch_end": False, "monitor": "val/loss"},
    "after the last step": {"every_n_train_steps": 10},
    "after another step": {"every_n_train_steps": 7},
}


@pytest.mark.parametrize("how", SAVED.values(), ids=SAVED.keys())
def test_a_fit_goes_on_from_what_a_model_checkpoint_saved(
    how: dict[str, Any], every_step: None, tmp_path: Path
) -> None:
    each = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, **how)
    expected = whole_fit(tmp_path / "whole", None, each).state_dict()
    rest = whole_fit(tmp_path / "rest", tmp_path / "epoch=0.ckpt").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in rest.items())
