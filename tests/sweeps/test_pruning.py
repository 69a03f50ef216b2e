"""Trials that end early, by the study's pruner."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from digits.sweeps.pruning import Pruning
from digits.sweeps.study import opened
from digits.training import summary
from support.commands import ROOT

CONFIG = ROOT / "configs" / "hydra" / "sweeper" / "optuna.yaml"
MEDIAN = yaml.safe_load(CONFIG.read_text())["pruner"]  # after five trials


class Run(SimpleNamespace):
    """What the callback asks of a trainer."""

    def __init__(self, epochs: int = 5) -> None:
        super().__init__(is_global_zero=True, world_size=1, max_epochs=epochs, should_stop=False)

    def ends_epoch(self, pruning: Any, epoch: int, score: float) -> None:
        self.callbacks, self.current_epoch = [pruning], epoch
        self.callback_metrics = {"val/acc": torch.tensor(score)}
        pruning.on_train_epoch_end(self, None)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of which five trials scored the same in each of five epochs; their mean is 0.44."""
    url = f"sqlite:///{tmp_path_factory.mktemp('study')}/s.db"
    _, study = opened(url, "a b", ["maximize"])
    for score in (0.1, 0.1, 0.6, 0.7, 0.7):
        trial = study.ask()
        for epoch in range(5):
            trial.report(score, epoch)
        study.tell(trial, score)
    return study, url


def begun(study: Any, monkeypatch: pytest.MonkeyPatch, pruner: Any = MEDIAN) -> Any:
    """The callback in a new trial."""
    trial = study[0].ask()
    monkeypatch.setenv("DIGITS_STUDY_STORAGE", study[1])
    monkeypatch.setenv("DIGITS_TRIAL", f"{trial.number} {study[0].study_name}")
    monkeypatch.setenv("DIGITS_PRUNER", json.dumps(pruner))
    pruning: Any = Pruning()
    pruning.setup(Run(), None, "fit")
    return pruning


def test_a_trial_below_the_median_stops_and_says_why(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruning, run = begun(study, monkeypatch), Run()
    run.ends_epoch(pruning, 0, 0.6)
    assert (run.should_stop, pruning.pruned) == (False, None)
    pruning, run = begun(study, monkeypatch), Run()
    run.ends_epoch(pruning, 1, 0.55)
    assert run.should_stop
    assert summary.why_ended(run) == "pruned: val/acc is behind in epoch 2"
    assert study[0].trials[-1].intermediate_values == pytest.approx({1: 0.55})


@pytest.mark.parametrize("pruner", [{"n_startup_trials": 6}, {"n_warmup_steps": 2}, None])
def test_the_pruner_is_the_sweeps(pruner: Any, study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pruning, run = begun(study, monkeypatch, pruner and MEDIAN | pruner), Run()
    run.ends_epoch(pruning, 1, 0.2)
    assert not run.should_stop


def test_a_run_that_is_no_trial_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIGITS_TRIAL", raising=False)
    pruning, run = Pruning(), Run()
    pruning.setup(run, None, "fit")  # type: ignore[arg-type]
    run.ends_epoch(pruning, 0, 0.0)
    assert not run.should_stop
