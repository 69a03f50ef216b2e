"""What a fit's weights, gradients and activations do: for TensorBoard and the other loggers."""

import sys
from contextlib import nullcontext
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from digits.data.datamodule import ImageDataModule
from digits.inspection import gathering, tensorboard
from digits.inspection.looks import only_looks, random_kept
from digits.inspection.tensorboard import writers

PROBED = 1000  # training images whose activations are looked at

Seen = dict[str, tuple[nn.Module, Tensor, Tensor]]  # by a layer's name: it, what it got and gave


class Watch(Callback):
    """Logs after each epoch the learning rate and the norm of all weights together. TensorBoard has
    the scores by epoch, histograms of weights and of the activations that 1,000 training images (or
    a batch) cause, and the share of dead ReLUs, too.
    """

    def __init__(self) -> None:
        self.x_B: Tensor | None = None
        self.is_validated = False  # the epoch

    @only_looks
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for writer in writers(trainer):
            writer.add_custom_scalars(tensorboard.LAYOUT)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, ImageDataModule) and data.train is not None:
            self.x_B = data.train[0][:PROBED] / 255
            return

        def keep(module: nn.Module, given: tuple[Any, ...]) -> None:
            """What the model is called with first, of a data module that is not ours."""
            first_call.remove()
            if given and isinstance(given[0], Tensor):
                self.x_B = given[0][:PROBED].detach().clone()

        first_call = pl_module.register_forward_pre_hook(keep)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.is_validated = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.is_validated = True

    @only_looks
    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        step = trainer.global_step - 1
        self._log_norms(trainer, step)
        seen = self._look(trainer, pl_module) or {}
        for writer in writers(trainer):
            tensorboard.by_epoch(writer, trainer, with_validation=self.is_validated)
            for name, weight in pl_module.named_parameters():
                tensorboard.histogram(writer, f"watch_weights/{name}", weight, step)
            for name, (layer, _, values) in seen.items():
                tensorboard.histogram(writer, f"watch_activations/{name}", values, step)
                if isinstance(layer, nn.ReLU):
                    writer.add_scalar(f"watch/dead_relus/{name}", dead(values), step)

    def _log_norms(self, trainer: L.Trainer, step: int) -> None:
        for optimizer in trainer.optimizers:
            _log(trainer, norms(trainer, optimizer), step)

    @only_looks
    def _look(self, trainer: L.Trainer, module: L.LightningModule) -> Seen:
        """Nothing where the images are not known, or where a process has a part of the weights."""
        has_writer = any(True for _ in writers(trainer))
        if self.x_B is None or not (has_writer and gathering.is_whole(trainer)):
            return {}
        with trainer.precision_plugin.forward_context():
            return look(module, self.x_B)


class WatchSteps(Watch):
    """Logs the learning rate and the norms each `log_every_n_steps`, of the gradients (before
    clipping), too; of each weight's gradient the norm and the histogram.
    """

    @only_looks
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        step = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or (step // len(trainer.optimizers) + 1) % every:
            return
        told = norms(trainer, optimizer, of_gradients=True)
        for name, weight in pl_module.named_parameters():
            if weight.grad is not None:
                told[f"watch/gradient_norm/{name}"] = float(weight.grad.norm())
                for writer in writers(trainer):
                    tensorboard.histogram(writer, f"watch_gradients/{name}", weight.grad, step)
        _log(trainer, told, step)

    def _log_norms(self, trainer: L.Trainer, step: int) -> None:
        """They are logged by step."""


def look(module: nn.Module, x_B: Tensor) -> Seen:
    """Of the ReLUs and the last linear layer, if they take and give tensors. `module`, its weights
    and the random numbers to come are left as they were. Raises what its `forward` raises.
    """
    seen: Seen = {}
    names = {layer: name for name, layer in module.named_modules()}
    relus = [layer for layer in names if isinstance(layer, nn.ReLU)]
    last = [layer for layer in names if isinstance(layer, nn.Linear)][-1:]

    def keep(layer: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(answer, Tensor):
            seen[names[layer]] = layer, given[0], answer

    handles = [layer.register_forward_hook(keep) for layer in (*relus, *last)]
    were_training = [part for part in names if part.training]
    is_compiler_there = "torch._dynamo" in sys.modules  # importing it takes 4 s
    # compiled parts call no hooks
    eager = torch.compiler.set_stance("force_eager") if is_compiler_there else nullcontext()
    try:
        module.eval()
        with eager, torch.no_grad(), random_kept():
            module(x_B)
    finally:
        for part in were_training:
            part.training = True
        for handle in handles:
            handle.remove()
    return seen


def dead(values: Tensor) -> float:
    """The share of a ReLU's units (channels) that are 0 for all images."""
    units = values.movedim(1, -1).flatten(0, -2) if values.ndim > 1 else values[None]
    return float((units <= 0).all(0).float().mean())


def norms(trainer: L.Trainer, optimizer: Optimizer, of_gradients: bool = False) -> dict[str, float]:
    """Of all its weights together, and of their gradients; and its learning rate."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    several = len(trainer.optimizers) > 1
    suffix = f"_{trainer.optimizers.index(optimizer) + 1}" if several else ""
    told = {
        f"watch/lr{suffix}": float(optimizer.param_groups[0]["lr"]),
        f"watch/weight_norm{suffix}": float(nn.utils.get_total_norm(weights)),
    }
    if of_gradients:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        told[f"watch/gradient_norm{suffix}"] = float(nn.utils.get_total_norm(gradients))
    return told


def _log(trainer: L.Trainer, told: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(told, step)
