"""Whether training has gone astray."""

import math

import lightning as L
from lightning.pytorch.callbacks import Callback

from digits.errors import DivergedError

FAR = 10  # times the loss of guessing, at which every run starts
LOSS = "train/loss"


class Divergence(Callback):
    """Raises DivergedError after an epoch whose train/loss is not finite. `warning` says that the
    last one's is finite, but far above that of guessing: ln of the data set's classes.
    """

    def __init__(self) -> None:
        self.warning: str | None = None

    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = trainer.callback_metrics.get(LOSS)
        if loss is None or not trainer.fit_loop.epoch_loop.batch_progress.current.ready:
            return
        if not loss.isfinite():
            raise DivergedError(
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
