"""End a search's trial early if it is unlikely to be the best."""

import json
import os
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from digits.runs.status import PRUNED
from digits.sweeps.sweep_folder import PRUNER, STORAGE, TRIAL


class Pruning(Callback):
    """Reports `monitor` to the study once an epoch, and stops when the study's pruner says so. Does
    nothing in a run that is no trial, without a pruner, or with several objectives.
    """

    def __init__(self, monitor: str = "val/acc") -> None:
        self.monitor = monitor
        self.pruned: str | None = None  # why the run ended
        self.trial: Any = None  # set in the first process of a run that may be pruned

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == TrainerFn.FITTING and trainer.is_global_zero and TRIAL in os.environ:
            from digits.sweeps.study import of_this_job

            trial = of_this_job(os.environ[STORAGE], os.environ[TRIAL])
            pruner = json.loads(os.environ[PRUNER])
            if pruner and len(trial.study.directions) == 1:
                trial.study.pruner = instantiate(pruner)
                self.trial = trial

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        stop = self._stop(trainer)
        if trainer.world_size > 1:
            stop = trainer.strategy.broadcast(stop)
        if stop:
            self.pruned = f"{PRUNED}: {self.monitor} is behind in epoch {trainer.current_epoch + 1}"
            trainer.should_stop = True

    def _stop(self, trainer: L.Trainer) -> bool:
        score = trainer.callback_metrics.get(self.monitor)
        if self.trial is None or score is None or not score.isfinite():
            return False
        self.trial.report(score.item(), trainer.current_epoch)
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        return not is_last and bool(self.trial.should_prune())
