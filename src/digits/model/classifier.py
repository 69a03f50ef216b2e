"""The digit classifier. Shapes: B batch, H W pixels (28 each), K = 10 classes."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError, blaming
from digits.model.network import network
from digits.model.score import Score

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]
SIZES = ("side", "classes", "channels")  # a data set may declare these, too


class DigitClassifier(L.LightningModule):
    """Trains a network with cross-entropy: Flatten, Linear(channels * side * side, hidden_size),
    ReLU, Linear(hidden_size, classes) or, if given, `net`, from images (B, channels, side, side),
    or (B, side, side) of one channel, to logits (B, classes). With `filters` four convolutions
    come first: two with so many channels, two with twice as many.

    Weights start Glorot-uniform and biases at zero, as in Keras. Without an `optimizer` the model
    can test and predict, but not train. `scheduler` moves once an epoch or once a step, as
    `scheduler_interval` says; one that waits for a plateau looks at `scheduler_monitor`. A
    checkpoint holds the sizes as plain values.
    """

    def __init__(
        self,
        hidden_size: int = 512,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        side: int = SIDE,
        classes: int = CLASSES,
        channels: int = 1,
        net: nn.Module | None = None,
        scheduler_interval: Literal["epoch", "step"] = "epoch",
        scheduler_monitor: str | None = None,
        filters: int = 0,
    ) -> None:
        super().__init__()
        own = ("hidden_size", "filters") if filters else ("hidden_size",)
        self.save_hyperparameters(*(own if net is None else ()), *SIZES, logger=False)
        self.net = network(hidden_size, side, classes, channels, filters) if net is None else net
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.scheduler_interval, self.scheduler_monitor = scheduler_interval, scheduler_monitor
        self.train_score, self.val_score, self.test_score = Score(), Score(), Score()
        self.step_told = -1  # the last step the loggers were told of

    def forward(self, x_BHW: Tensor) -> Tensor:
        """Return logits (B, classes) of images as `check_input` accepts them, 0 black."""
        logits_BK: Tensor = self.net(x_BHW)
        return logits_BK

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = self._step(batch, batch_idx, self.train_score)
        step, every = self.global_step, self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        # every is 0 with Trainer(barebones=True); a step may have several batches
        if every and (step + 1) % every == 0 and step != self.step_told:
            self.step_told = step
            for logger in self.loggers:  # self.log takes 0.5 ms a step, even if it logs nothing
                logger.log_metrics({"train/loss_step": loss.item()}, step)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, batch_idx, self.val_score)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._step(batch, batch_idx, self.test_score)

    def _step(self, batch: tuple[Tensor, Tensor], batch_idx: int, score: Score) -> Tensor:
        x_BHW, y_B = batch
        if batch_idx == 0:  # all batches have one source: one check an epoch is enough
            check_input(x_BHW, self.hparams.side, self.hparams.channels)  # type: ignore[attr-defined]
        logits_BK = self(x_BHW)
        loss = F.cross_entropy(logits_BK, y_B)
        score.update(loss, logits_BK, y_B)
        return loss

    def on_train_epoch_start(self) -> None:
        self.train_score.reset()  # a resumed run may have the sums of the last epoch

    def on_train_epoch_end(self) -> None:
        self._log_scores("train", self.train_score)

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val", self.val_score)

    def on_test_epoch_end(self) -> None:
        images = self.test_score.compute()["images"]  # the accuracy's denominator
        self.log("test/images", images, logger=False)
        self._log_scores("test", self.test_score)

    def _log_scores(self, stage: str, score: Score) -> None:
        computed = score.compute()
        # these are reduced already; with sync_dist the processes would wait for each other again
        self.log_dict({f"{stage}/{name}": computed[name] for name in ("loss", "acc")})
        score.reset()

    def scores_so_far(self) -> dict[str, Tensor]:
        """Return this epoch's training scores in this process, for a progress bar."""
        scores = self.train_score.so_far()
        return {"loss": scores["loss"], "acc": scores["acc"]}

    def setup(self, stage: str) -> None:
        """Raises InputError if the data have another shape, or more classes."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        for name in SIZES:
            here, there = self.hparams[name], getattr(data, name, None) or self.hparams[name]
            if there > here or (name != "classes" and there != here):
                raise InputError(f"model.{name}={here}: the data set has {there}; expected that")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        self._rehearse()
        optimizer = self._new_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.new_scheduler(optimizer)
        if (self.scheduler_interval, self.scheduler_monitor) == ("epoch", None):
            return {"optimizer": optimizer, "lr_scheduler": scheduler}
        moves = {"interval": self.scheduler_interval, "monitor": self.scheduler_monitor}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **moves}}  # type: ignore[return-value]

    def _new_optimizer(self, weights: Iterable[nn.Parameter]) -> Optimizer:
        if self.make_optimizer is None:
            raise InputError("model.optimizer: training needs one")
        return self.make_optimizer(weights)

    def new_scheduler(self, optimizer: Optimizer, total_steps: int | None = None) -> LRScheduler:
        """Return a new scheduler. One that counts the run's steps (OneCycleLR) gets their number:
        `total_steps` or, in a fit, the Trainer's.
        """
        make = self.make_scheduler
        assert make is not None
        counts = all(_leaves_open(make, name) for name in ("total_steps", "epochs"))
        if counts and self.scheduler_interval == "step":
            total_steps = total_steps or int(self.trainer.estimated_stepping_batches)
            make = partial(make, total_steps=total_steps)  # type: ignore[call-arg]
        return make(optimizer)

    def _rehearse(self) -> None:
        """Raises InputError for settings that torch refuses only in a step or at an epoch's end."""
        weight = nn.Parameter(torch.zeros(1))
        weight.grad = torch.zeros(1)
        with blaming("model.optimizer"):
            optimizer = self._new_optimizer([weight])
        with blaming("model.scheduler"):
            scheduler = self.new_scheduler(optimizer) if self.make_scheduler else None
        with blaming("model.optimizer"):
            optimizer.step(lambda: 0.0)
        with blaming("model.scheduler"):
            if isinstance(scheduler, ReduceLROnPlateau):
                self._check_monitor()
                scheduler.step(0.0)
            elif scheduler is not None:
                scheduler.step()

    def _check_monitor(self) -> None:
        if self.scheduler_monitor is None:
            raise InputError(
                "model.scheduler_monitor=null: a schedule that waits for a plateau has to look at "
                "a score; expected train/loss or, with data.val_size, val/loss"
            )


def _leaves_open(make: SchedulerFactory, name: str) -> bool:
    """Whether `make` takes an argument `name` whose value is None so far."""
    argument = inspect.signature(make).parameters.get(name)
    return argument is not None and argument.default is None


def check_input(x_BHW: Tensor, side: int = SIDE, channels: int = 1) -> None:
    """Raises InputError unless x is (B, `channels`, `side`, `side`), or (B, `side`, `side`) of one
    channel, floating point, in [0, 1], as `DigitClassifier.forward` needs it.
    """
    forms = [(side, side)] * (channels == 1) + [(channels, side, side)]
    low, high = (bound.item() for bound in x_BHW.aminmax()) if x_BHW.numel() else (0.0, 0.0)
    is_in_range = x_BHW.is_floating_point() and 0 <= low <= high <= 1
    if x_BHW.shape[1:] not in forms or not is_in_range:
        shapes = " or ".join(f"(B, {', '.join(map(str, form))})" for form in forms)
        raise InputError(
            f"images must be {shapes} float32 in [0, 1]; "
            f"got {tuple(x_BHW.shape)} {x_BHW.dtype} in [{low:g}, {high:g}]"
        )
