"""Whether a run may go on with other settings than it was begun with."""

from typing import Any

import pytest

from digits.runs.recipe import Recipe, is_same_class
from support.settings import GROUPS, composed

CFG = composed(*GROUPS)
BEFORE = Recipe(CFG).settings


def test_what_decides_the_weights() -> None:
    """A run goes on only with the same of each."""
    decisive = Recipe(composed(*GROUPS)).settings
    assert {key: value for key, value in decisive.items() if "_target_" not in key} == {
        "seed": 0, "data.batch_size": 128, "data.eval_batch_size": 1000, "data.val_size": 5000,
        "data.train_size": None, "data.folds": None, "data.fold": None, "data.channels": None,
        "data.augment": None, "data.seed": 0, "model.hidden_size": 512,
        "model.optimizer._partial_": True,
        "model.optimizer.lr": 0.001, "model.optimizer.alpha": 0.9, "model.optimizer.eps": 1e-7,
        "model.optimizer.momentum": 0.0, "model.optimizer.weight_decay": 0.0,
        "model.scheduler_interval": "epoch", "model.scheduler_monitor": None,
        "model.scheduler._partial_": True, "model.scheduler.T_max": 5,
        "model.scheduler.eta_min": 0.0, "trainer.precision": "32-true",
        "trainer.limit_train_batches": 1.0, "trainer.limit_val_batches": 1.0,
        "trainer.overfit_batches": 0.0, "trainer.check_val_every_n_epoch": 1,
        "trainer.val_check_interval": 1.0, "trainer.gradient_clip_val": None,
        "trainer.gradient_clip_algorithm": None, "trainer.min_epochs": None,
        "trainer.min_steps": None, "trainer.deterministic": None,
        "trainer.accumulate_grad_batches": 1, "callbacks.early_stopping.monitor": "val/acc",
        "callbacks.early_stopping.mode": "max", "callbacks.early_stopping.patience": 3,
        "callbacks.early_stopping.min_delta": 0.0,
    }  # fmt: skip


OPTIMIZER = "model.optimizer._target_"
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"data.val_size": 0, "seed": 1}, ["data.val_size was 0, is 5000", "seed was 1, is 0"]),
    ({"model.dropout": 0.5}, ["model.dropout was 0.5, is absent"]),  # set then, unknown now
    ({"seed": [1] * 99}, ["seed was of another kind, is 0"]),
    ({OPTIMIZER: "digits.old.RMSprop"}, []),
    (
        {OPTIMIZER: "torch.optim.RMSprop"},
        [f"{OPTIMIZER} was torch.optim.RMSprop, is digits.model.rmsprop.RMSprop"],
    ),
    ({"callbacks.early_stopping.patience": 4, "model.scheduler.T_max": 4}, []),  # as max_epochs
    ({"callbacks.early_stopping.mode": "min"}, ["callbacks.early_stopping.mode was min, is max"]),
]


def test_what_a_run_was_set_to() -> None:
    for changes, told in CHANGES:
        assert Recipe(CFG).differences(BEFORE | changes) == told


def test_a_run_from_before_the_folds_goes_on() -> None:
    new = ("data.train_size", "data.folds", "data.fold", "data.channels", "data.augment")
    before = {key: value for key, value in BEFORE.items() if key not in new}
    assert Recipe(CFG).differences(before) == []
    assert Recipe(composed(*GROUPS, "data.channels=1")).differences(before) == [
        "data.channels was None, is 1"
    ]


def test_a_run_may_go_on_without_early_stopping() -> None:
    plain = composed("model/scheduler=cosine", "data.val_size=5000")
    assert Recipe(plain).differences(BEFORE) == []
    assert len(Recipe(CFG).differences(Recipe(plain).settings)) >= 3


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("trainer.accumulate_grad_batches", 1, []),  # Lightning's default
        ("trainer.accumulate_grad_batches", 2, ["trainer.accumulate_grad_batches was 1, is 2"]),
        ("model.optimizer.momentum", 0.5, ["model.optimizer.momentum was 0, is 0.5"]),
        ("model.nonsense", 1, ["model.nonsense was absent, is 1"]),  # its class has no such thing
    ],
)
def test_a_setting_newer_than_the_run_was_at_its_default(
    key: str, value: object, told: list[str]
) -> None:
    before = {name: given for name, given in BEFORE.items() if name != key}
    assert Recipe(composed(*GROUPS, f"++{key}={value}")).differences(before) == told


def test_the_class_counts_not_the_module_it_is_in() -> None:
    adamw = "torch.optim.AdamW"
    assert is_same_class("torch.optim.adamw.AdamW", adamw)
    assert is_same_class("torch.gone.AdamW", adamw)
    for other in ("torch.optim.Adam", "other.optim.AdamW", "AdamW"):
        assert not is_same_class(other, adamw)
