"""An epoch's scores: which callbacks get them, which are best, and whether training diverges."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from digits.errors import DivergedError
from digits.runs import monitors
from digits.runs.monitors import by_common_names

FAR = 10  # times the loss of guessing, with which every run starts
LOSS = "train/loss"


class Scored(Checkpoint):
    """Calls `on_epoch_scored(trainer, module)` of each callback that has it. Lightning calls a
    Checkpoint after the model, which may log scores in its own on_train_epoch_end.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if scored := getattr(callback, "on_epoch_scored", None):
                scored(trainer, pl_module)


class BestScores(Callback):
    """Keeps the best value of each metric whose name begins with "val", as NAME_best.

    A callback that monitors the metric, or else the metric's name, says which way is better.
    """

    def __init__(self) -> None:
        self.best: dict[str, float] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        for name, score in list(trainer.callback_metrics.items()):
            if name.startswith("val") and not name.endswith(("_best", "_step")):
                best, value = f"{name}_best", score.item()
                better = min if less_is_better(name, trainer) else max
                self.best[best] = better(self.best.get(best, value), value)
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in self.best.items()})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning does not let the name of a loader be logged; the first loader's is left out."""
        best = {name.replace("/dataloader_idx_0", ""): score for name, score in self.best.items()}
        pl_module.log_dict({k: v for k, v in best.items() if "/dataloader_idx_" not in k})

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["best_scores"] = dict(self.best)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.best = dict(checkpoint["best_scores"])


def less_is_better(name: str, trainer: L.Trainer) -> bool:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        mode = getattr(callback, "mode", None)
        if getattr(callback, "monitor", None) == name and mode in ("min", "max"):
            return bool(mode == "min")
    return monitors.less_is_better(name)


class Divergence(Callback):
    """Raises DivergedError if an epoch's train/loss is not finite, once the epoch's scores are
    logged. `warning` says that the last epoch's loss is finite, but far above that of guessing,
    which is ln of the number of classes.
    """

    def __init__(self) -> None:
        self.warning: str | None = None
        self.error: DivergedError | None = None

    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = by_common_names(trainer.callback_metrics).get(LOSS)
        if loss is None or not trainer.fit_loop.epoch_loop.batch_progress.current.ready:
            return
        if not loss.isfinite():
            self.error = DivergedError(
                f"training diverged: {LOSS} is {loss:g} in epoch {trainer.current_epoch + 1}; "
                "a lower model.optimizer.lr may help"
            )
        classes = getattr(trainer.datamodule, "classes", None)  # type: ignore[attr-defined]
        guessing = math.log(classes) if classes and classes > 1 else math.inf
        self.warning = None
        if loss > FAR * guessing:
            self.warning = (
                f"{LOSS} is {loss:.3g}, and {guessing:.3g} would be guessing; "
                "a lower model.optimizer.lr may help"
            )

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.error:
            raise self.error

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)
