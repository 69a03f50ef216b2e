"""What a fit's weights, gradients and activations do: for TensorBoard and the other loggers."""

import logging
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from digits.data.datamodule import ImageDataModule
from digits.inspection import probe, tensorboard
from digits.inspection.listening import is_labelled
from digits.inspection.probe import Probe
from digits.inspection.writers import writers

log = logging.getLogger(__name__)

PROBED = 1000  # training images whose activations are looked at


class Watch(Callback):
    """Logs the learning rate and the norms of gradients (of all weights together, before clipping)
    and weights each `log_every_n_steps`. TensorBoard has after each epoch the scores by epoch,
    images per second, histograms of weights and of the activations that 1,000 training images (or
    a batch) cause, and the share of dead ReLUs. `detail` adds each weight's gradient: its norm and
    histogram.
    """

    sees_steps = "logged"

    def __init__(self, detail: bool = False) -> None:
        self.detail = detail
        self.ended: int | None = None  # an epoch, from 1, whose scores are not logged yet
        self.x_B: Tensor | None = None
        self.can_be_called = True  # with the images of a batch alone
        self.has_graph = False
        self.begin, self.first, self.validated = 0.0, 0, 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.sees_steps = "logged" if trainer.loggers else "some"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.fit_loop.restarted_mid_epoch:  # then Lightning does not start the epoch again
            self._begin(trainer.fit_loop.epoch_loop.batch_progress.current.ready)
        for writer in writers(trainer):
            tensorboard.layout(writer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, ImageDataModule) and data.train is not None:
            self.x_B = data.train[0][:PROBED] / 255

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log_scores(trainer)
        self._begin(0)

    def _begin(self, first: int) -> None:
        """From batch `first` of an epoch."""
        self.begin, self.validated, self.first = time.monotonic(), 0.0, first

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated -= time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated += time.monotonic()

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        if not (trainer.loggers and trainer._logger_connector.should_update_logs):
            return
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        several = len(trainer.optimizers) > 1
        suffix = f"_{trainer.optimizers.index(optimizer) + 1}" if several else ""
        told = {
            f"watch/lr{suffix}": float(optimizer.param_groups[0]["lr"]),
            f"watch/gradient_norm{suffix}": float(nn.utils.get_total_norm(gradients)),
            f"watch/weight_norm{suffix}": float(nn.utils.get_total_norm(weights)),
        }
        step = trainer.global_step
        for name, weight in pl_module.named_parameters() if self.detail else ():
            if weight.grad is not None:
                told[f"watch/gradient_norm/{name}"] = float(weight.grad.norm())
                for writer in writers(trainer):
                    tensorboard.histogram(writer, f"watch_gradients/{name}", weight.grad, step)
        _log(trainer, told, step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if (
            self.x_B is None
            and self.can_be_called
            and is_labelled(batch)
            and isinstance(batch[0], Tensor)
        ):
            self.x_B = batch[0][:PROBED].detach().clone()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.ended = trainer.current_epoch + 1
        seen, speed = self._look(trainer, pl_module), self._images_per_second(trainer)
        last = trainer.global_step - 1  # a run that goes on has TensorBoard hide later ones
        for writer in writers(trainer):
            if speed:
                writer.add_scalar("watch/images_per_second", speed, last)
            self._activity(writer, pl_module, seen, last)
            if not self.has_graph and seen.layers and self.x_B is not None:
                tensorboard.graph(writer, seen.layers, self.x_B.shape)
        self.has_graph = True

    def _activity(self, writer: SummaryWriter, module: nn.Module, seen: Probe, step: int) -> None:
        for name, share in seen.dead.items():
            writer.add_scalar(f"watch/dead_relus/{name}", share, step)
        for name, weight in module.named_parameters():
            tensorboard.histogram(writer, f"watch_weights/{name}", weight, step)
        for name, values in seen.activations.items():
            tensorboard.histogram(writer, f"watch_activations/{name}", values, step)

    def _look(self, trainer: L.Trainer, module: L.LightningModule) -> Probe:
        """Nothing where the images are not known, or where a process has a part of the weights."""
        is_whole = trainer.world_size == 1 or isinstance(trainer.strategy, DDPStrategy)
        if self.x_B is None or not is_whole or not any(True for _ in writers(trainer)):
            return Probe()
        try:
            with trainer.precision_plugin.forward_context():
                return probe.look(module, self.x_B)
        except Exception as error:  # of a model whose forward takes something else
            log.debug("its activations are not logged: %s", error)
            self.x_B, self.can_be_called = None, False
            return Probe()

    def _images_per_second(self, trainer: L.Trainer) -> float | None:
        """Of all processes, without validation; None if the data does not tell."""
        loader = trainer.train_dataloader
        size = getattr(loader, "batch_size", None)
        last = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        seconds = time.monotonic() - self.begin - self.validated
        if not isinstance(size, int) or seconds <= 0:
            return None
        return (last - self.first) * size * trainer.world_size / seconds

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._log_scores(trainer)

    def _log_scores(self, trainer: L.Trainer) -> None:
        """Of the epoch that has ended, by epoch. (The model logs its own only after callbacks'
        `on_train_epoch_end`.)
        """
        if self.ended is None:
            return
        epoch, self.ended = self.ended, None
        for writer in writers(trainer):
            for name, value in trainer.callback_metrics.items():
                is_old = name.startswith("val") and not self.validated
                if not (is_old or name.endswith(("_step", "_best"))) and value.isfinite():
                    tag = f"{tensorboard.BY_EPOCH}{name.replace('/', '_')}"
                    writer.add_scalar(tag, value.item(), epoch)


def _log(trainer: L.Trainer, told: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        if told:
            logger.log_metrics(told, step)
