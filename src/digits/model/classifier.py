"""The digit classifier. Shapes: B batch, H W pixels (28 each), K = 10 classes."""

from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from digits.data.mnist import CLASSES, SIDE
from digits.errors import DivergedError, InputError, blaming
from digits.model.network import network
from digits.model.score import Score

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


class DigitClassifier(L.LightningModule):
    """Flatten, Linear(side * side, hidden_size), ReLU, Linear(hidden_size, classes), trained with
    cross-entropy on the logits.

    Weights start Glorot-uniform and biases at zero, as in Keras. Without an `optimizer` the model
    can be tested and predict, not trained. `scheduler` steps once an epoch. A checkpoint holds
    the sizes and the best scores as plain values.
    """

    def __init__(
        self,
        hidden_size: int = 512,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        side: int = SIDE,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("hidden_size", "side", "classes", logger=False)
        self.net = network(hidden_size, side, classes)
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.train_score, self.val_score, self.test_score = Score(), Score(), Score()
        self.best: dict[str, float] = {}

    def forward(self, x_BHW: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, side, side), float32 in [0, 1], 0 black: what
        `check_input` accepts.
        """
        logits_BK: Tensor = self.net(x_BHW)
        return logits_BK

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self._step(batch, batch_idx, self.train_score)
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % every == 0:
            for logger in self.loggers:  # self.log takes 0.5 ms a step, kept or not
                logger.log_metrics({"train/loss_step": loss.item()}, self.global_step)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, batch_idx, self.val_score)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, batch_idx, self.test_score)

    def _step(self, batch: tuple[Tensor, Tensor], batch_idx: int, score: Score) -> Tensor:
        x_BHW, y_B = batch
        if batch_idx == 0:  # every batch comes from the same place: one look an epoch will do
            check_input(x_BHW, self.hparams.side)  # type: ignore[attr-defined]
        logits_BK = self(x_BHW)
        loss = F.cross_entropy(logits_BK, y_B)
        score.update(loss, logits_BK, y_B)
        return loss

    def on_train_epoch_end(self) -> None:
        scores = self._log_scores("train", self.train_score)
        if not scores["train/loss"].isfinite():
            raise DivergedError(
                f"training diverged: train/loss is {scores['train/loss']:g} in epoch "
                f"{self.current_epoch + 1}; a lower model.optimizer.lr may help"
            )

    def on_validation_epoch_end(self) -> None:
        scores = self._log_scores("val", self.val_score)
        if not self.trainer.sanity_checking:
            for name, better in (("val/acc", max), ("val/loss", min)):
                value = scores[name].item()
                self.best[f"{name}_best"] = better(self.best.get(f"{name}_best", value), value)
            self.log_dict(self.best)

    def on_test_epoch_end(self) -> None:
        self._log_scores("test", self.test_score, "images")  # how many the accuracy is over

    def _log_scores(self, stage: str, score: Score, *more: str) -> dict[str, Tensor]:
        computed = score.compute()
        scores = {f"{stage}/{name}": computed[name] for name in ("loss", "acc", *more)}
        # reduced already: with sync_dist processes would wait for each other again, at any time
        self.log_dict(scores)
        score.reset()
        return scores

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["best_scores"] = self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.best = dict(checkpoint["best_scores"])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        self._rehearse()
        optimizer = self._new_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def _new_optimizer(self, weights: Iterable[nn.Parameter]) -> Optimizer:
        if self.make_optimizer is None:
            raise InputError("model.optimizer: training needs one")
        return self.make_optimizer(weights)

    def _rehearse(self) -> None:
        """Raises InputError for settings that torch refuses only at a step or an epoch's end."""
        weight = nn.Parameter(torch.zeros(1))
        weight.grad = torch.zeros(1)
        with blaming("model.optimizer"):
            optimizer = self._new_optimizer([weight])
        with blaming("model.scheduler"):
            scheduler = self.make_scheduler(optimizer) if self.make_scheduler else None
        with blaming("model.optimizer"):
            optimizer.step(lambda: 0.0)
        with blaming("model.scheduler"):
            if scheduler is not None:
                scheduler.step()


def check_input(x_BHW: Tensor, side: int = SIDE) -> None:
    """Raises ValueError unless x is (B, `side`, `side`), float32, in [0, 1]: what
    `DigitClassifier.forward` takes.
    """
    low, high = (bound.item() for bound in x_BHW.aminmax()) if x_BHW.numel() else (0.0, 0.0)
    if x_BHW.shape[1:] != (side, side) or x_BHW.dtype != torch.float32 or not 0 <= low <= high <= 1:
        raise ValueError(
            f"images must be (B, {side}, {side}) float32 in [0, 1]; "
            f"got {tuple(x_BHW.shape)} {x_BHW.dtype} in [{low:g}, {high:g}]"
        )
