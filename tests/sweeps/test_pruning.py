"""Trials that end early, by the study's pruner."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch

from digits.sweeps.pruning import Pruning
from digits.sweeps.study import opened
from digits.training import summary

MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1}


class Trainer(SimpleNamespace):
    """What the callback asks of one."""

    def at(self, epoch: int, score: float) -> "Trainer":
        self.current_epoch = epoch
        self.callback_metrics = {"val/acc": torch.tensor(score)}
        return self


def trainer(epochs: int = 5) -> Any:
    return Trainer(
        is_global_zero=True, world_size=1, max_epochs=epochs, should_stop=False, callbacks=[]
    )


def callback(
    study: optuna.Study, url: str, monkeypatch: pytest.MonkeyPatch, pruner: Any = MEDIAN
) -> Pruning:
    """Of a new trial of the study."""
    trial = study.ask()
    monkeypatch.setenv("DIGITS_STUDY_STORAGE", url)
    monkeypatch.setenv("DIGITS_TRIAL", f"{trial.number} {study.study_name}")
    monkeypatch.setenv("DIGITS_PRUNER", json.dumps(pruner))
    pruning = Pruning()
    pruning.setup(trainer(), None, "fit")  # type: ignore[arg-type]
    return pruning


@pytest.fixture
def study(tmp_path: Path) -> Any:
    """Of which one trial scored 0.5, 0.6, ..."""
    url = f"sqlite:///{tmp_path}/s.db"
    _, study = opened(url, "a b", ["maximize"])
    first = study.ask()
    for epoch in range(5):
        first.report(0.5 + epoch / 10, epoch)
    study.tell(first, 0.9)
    return study, url


def test_a_trial_that_is_behind_stops_and_says_why(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = callback(*study, monkeypatch)
    run = trainer()
    pruning.on_train_epoch_end(run.at(0, 0.55), None)  # type: ignore[arg-type]
    assert (run.should_stop, pruning.pruned) == (False, None)
    pruning.on_train_epoch_end(run.at(1, 0.4), None)  # type: ignore[arg-type]
    assert run.should_stop
    run.callbacks = [pruning]
    assert summary.why_ended(run) == "pruned: val/acc is behind in epoch 2"
    assert study[0].trials[1].intermediate_values == pytest.approx({0: 0.55, 1: 0.4})


def test_the_last_epoch_is_told_and_nothing_is_pruned_after_it(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning = callback(*study, monkeypatch)
    run = trainer(epochs=2)
    pruning.on_train_epoch_end(run.at(1, 0.1), None)  # type: ignore[arg-type]
    assert not run.should_stop
    assert study[0].trials[1].intermediate_values == pytest.approx({1: 0.1})


@pytest.mark.parametrize(
    "pruner", [MEDIAN | {"n_startup_trials": 2}, MEDIAN | {"n_warmup_steps": 2}, {}]
)
def test_the_pruner_is_the_sweeps(pruner: Any, study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pruning, run = callback(*study, monkeypatch, pruner), trainer()
    pruning.on_train_epoch_end(run.at(1, 0.1), None)  # type: ignore[arg-type]
    assert not run.should_stop


def test_a_run_that_is_no_trial_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIGITS_TRIAL", raising=False)
    pruning, run = Pruning(), trainer()
    pruning.setup(run, None, "fit")  # type: ignore[arg-type]
    pruning.on_train_epoch_end(run.at(0, 0.0), None)  # type: ignore[arg-type]
    assert not run.should_stop
