"""The best validation scores of a run."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn

from digits.runs import run


class BestScores(Callback):
    """Keeps the best value of each metric whose name begins with "val", as NAME_best.

    Which way is better is what a callback that monitors it says, else what its name says.
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
        pl_module.log_dict(self.best)

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
    return run.less_is_better(name)
