"""What a run saves is gone on from; a part of another kind is not."""

from collections.abc import Iterator
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


# What may be one thing or another, each a pattern
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
