"""The training step of the reference network, written out.

This is how a network of two layers learns: forward, loss, backward and update are a dozen tensor
operations. Autograd would run the same ones in the same order, so the bits are the same.

Lightning's hooks, closures and result tables around a step take half as long as the step. So the
epoch's loop itself runs the steps that nothing looks at. It leaves to Lightning the first and the
last step of an epoch, the steps before a log or a validation, and one step every LOOK_EVERY
seconds, for the bar, the clock, a save or a signal.

Shapes: B batch, H W pixels, D = H * W features, E hidden units, K classes.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.optim import Optimizer

from digits.data.batches import Batches
from digits.inspection.watch import WatchSteps
from digits.model.classifier import DigitClassifier
from digits.model.network import LAYERS
from digits.model.rmsprop import RMSprop
from digits.training.bar import EpochBar
from digits.training.exact_state import ends_an_epoch
from digits.training.pauses import Pauses
from digits.training.saving import BestCheckpoint

log = logging.getLogger(__name__)

LOOK_EVERY = 0.2  # seconds
TESTED = "2.6."  # the versions of Lightning whose counters `_unseen_step` keeps
OPTIMIZERS = (RMSprop, torch.optim.RMSprop, torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
NOW_AND_THEN = {  # callbacks that look at steps, but need not see every one
    BestCheckpoint, DeviceStatsMonitor, EpochBar, LearningRateMonitor, ModelCheckpoint,
    RichProgressBar, TQDMProgressBar, Timer, WatchSteps,
}  # fmt: skip
STEP_HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad",
              "on_before_backward", "on_after_backward", "on_before_optimizer_step")  # fmt: skip
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class Step:
    """Takes a step of `model`: Flatten, Linear(D, E), ReLU, Linear(E, K), on a CPU, in float32."""

    def __init__(self, model: DigitClassifier, optimizer: Optimizer) -> None:
        self.score, self.optimizer = model.train_score, optimizer
        self.weights = list(model.net.parameters())
        self.W_ED, self.b_E, self.W_KE, self.b_K = (weight.detach() for weight in self.weights)
        self.gradients = [torch.zeros_like(weight) for weight in self.weights]
        self.attach()
        self.update = optimizer.prepared() if type(optimizer) is RMSprop else None

    def attach(self) -> None:
        """Attach the gradients to the weights, where other code finds them."""
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient

    @torch.no_grad()
    def __call__(self, x_BHW: Tensor, y_B: Tensor, clip: Callable[[], None] | None = None) -> None:
        self.set_gradients(x_BHW, y_B)
        if clip or not self.update:
            self.attach()
        if clip:
            clip()
        (self.update or self.optimizer.step)()

    @torch.no_grad()
    def set_gradients(self, x_BHW: Tensor, y_B: Tensor) -> Tensor:
        """Compute the gradients, and add the batch to the scores. Return the mean loss."""
        x_BD, y_B1 = x_BHW.flatten(1), y_B[:, None]
        h_BE = torch.addmm(self.b_E, x_BD, self.W_ED.t()).relu_()
        logits_BK = torch.addmm(self.b_K, h_BE, self.W_KE.t())
        log_p_BK = logits_BK.log_softmax(1)
        loss = F.nll_loss(log_p_BK, y_B)
        self.score.add(loss, logits_BK, y_B)

        # derivatives of the loss; with respect to the logits: (p - 1 at the label, else p) / B
        dW_ED, db_E, dW_KE, db_K = self.gradients
        d_BK = torch.zeros_like(logits_BK).scatter_(1, y_B1, -1 / len(y_B))
        d_BK = torch.ops.aten._log_softmax_backward_data(d_BK, log_p_BK, 1, torch.float32)
        torch.mm(d_BK.t(), h_BE, out=dW_KE)
        torch.sum(d_BK, 0, out=db_K)
        d_BE = torch.ops.aten.threshold_backward(d_BK @ self.W_KE, h_BE, 0)  # 0 where ReLU gave 0
        torch.mm(d_BE.t(), x_BD, out=dW_ED)
        torch.sum(d_BE, 0, out=db_E)
        return loss


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop, with the step written out if `who_sees_each` names nobody. Weights,
    counters, logs and checkpoints are those of Lightning's own loop, bit for bit.
    """

    step: Step | None = None
    seen_by: str | None = None
    goes_on_between_steps = False  # ExactState sets it

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        fit_loop = self.trainer.fit_loop
        if fit_loop._combined_loader_states_to_load:  # the model counted steps before
            fit_loop._load_combined_loader_states()
            fit_loop._combined_loader_states_to_load = []
            iter(data_fetcher)
        super().on_run_start(data_fetcher)
        goes_on, self.goes_on_between_steps = self.goes_on_between_steps, False
        if goes_on and self.restarted_on_last and not ends_an_epoch(self.trainer):
            self.restarting = fit_loop._restarting = False  # the restored step is done
        self._prepare()
        self._pause()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        validated = self.val_loop.batch_progress.total.ready
        super().on_advance_end(data_fetcher)
        if self.val_loop.batch_progress.total.ready != validated:
            self._prepare()  # a validation's callbacks may change anything
        self._pause()

    def _pause(self) -> None:
        for callback in self.trainer.callbacks:
            if isinstance(callback, Pauses):
                callback.between_steps(self.trainer)

    def _prepare(self) -> None:
        before, self.seen_by = self.seen_by, who_sees_each(self.trainer)
        self.step = None
        if self.seen_by and self.seen_by != before:
            log.debug("Lightning's own loop runs each step, for %s", self.seen_by)
        loader = self.trainer.train_dataloader
        if not self.seen_by:
            self.step = Step(self.trainer.lightning_module, self.trainer.optimizers[0])
            loader.keep_buffers()
        elif isinstance(loader, Batches):
            loader.buffers = None  # others may keep a batch they see

    def advance(self, data_fetcher: _DataFetcher) -> None:
        until = time.monotonic() + LOOK_EVERY
        for _ in range(self._unseen_next() if self.step else 0):
            if time.monotonic() >= until:
                break
            self._unseen_step(data_fetcher)
        super().advance(data_fetcher)

    def _unseen_next(self) -> int:
        """Return how many steps from here on nothing looks at."""
        trainer, batches = self.trainer, self.batch_progress
        if self.restarting or trainer.should_stop or batches.current.ready == 0:
            return 0
        left = [trainer.num_training_batches - 1 - batches.current.ready]  # all but the last
        if self.max_steps > 0:
            left += [self.max_steps - 1 - self.global_step]
        for done in (batches.current.ready, batches.total.ready):
            left += [(-done - 1) % (trainer.val_check_batch or 1)]
        if trainer.loggers and trainer.log_every_n_steps:
            left += [(-self._batches_that_stepped - 1) % trainer.log_every_n_steps]
        return int(max(0, min(left)))

    def _unseen_step(self, data_fetcher: _DataFetcher) -> None:
        trainer, counts = self.trainer, self.automatic_optimization.optim_progress.optimizer
        (x_BHW, y_B), _, _ = next(data_fetcher)
        self.batch_progress.increment_ready()
        self.batch_progress.increment_started()
        counts.step.increment_ready()
        assert self.step
        self.step(x_BHW, y_B, self._clip if trainer.gradient_clip_val else None)
        counts.zero_grad.increment_by(1)
        counts.step.increment_completed()
        self.batch_progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            self.update_lr_schedulers("step", update_plateau_schedulers=True)
        self.batch_progress.increment_completed()
        self._batches_that_stepped += 1

    def _clip(self) -> None:
        trainer = self.trainer
        trainer.lightning_module.configure_gradient_clipping(
            trainer.optimizers[0], trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        )


def who_sees_each(trainer: L.Trainer) -> str | None:
    """Return what needs to see each step, for which Lightning's own loop runs; None if nothing."""
    module, loader, data = trainer.lightning_module, trainer.train_dataloader, trainer.datamodule  # type: ignore[attr-defined]
    reasons = {
        f"Lightning {L.__version__}": not L.__version__.startswith(TESTED),
        f"the model {type(module).__name__}": not _is_reference(module),
        "the strategy": type(trainer.strategy) is not SingleDeviceStrategy,
        "the device": trainer.strategy.root_device.type != "cpu",
        "the precision": type(trainer.precision_plugin) is not Precision,
        "the profiler": not isinstance(trainer.profiler, PassThroughProfiler),  # type: ignore[attr-defined]
        "accumulated gradients": trainer.accumulate_grad_batches > 1,
        "validation by the clock": trainer.val_check_batch is None,
        "anomaly detection": torch.is_anomaly_enabled(),
        "the optimizer": [type(one) for one in trainer.optimizers] not in [[k] for k in OPTIMIZERS],
        "the data loader": type(loader) is not Batches,
        "the data module's transfer": bool(_overridden(data, LightningDataModule, TRANSFER)),
    }
    named = [reason for reason, holds in reasons.items() if holds]
    watching = [f"callback {type(c).__name__}" for c in trainer.callbacks if _sees_each(c)]  # type: ignore[attr-defined]
    return ", ".join([*named, *watching]) or None


def _is_reference(module: L.LightningModule) -> bool:
    """Whether it is a DigitClassifier with its own network, all of which learns, uncompiled."""
    net: Any = getattr(module, "net", None)
    return (
        type(module) is DigitClassifier
        and type(net) is nn.Sequential
        and [type(layer) for layer in net] == LAYERS
        and all(w.requires_grad and w.dtype == torch.float32 for w in module.parameters())
        and len(list(module.parameters())) == 4  # with both biases, and nothing else
        and not any(_is_changed(part) for part in (module, *net.modules()))
    )


def _is_changed(part: nn.Module) -> bool:
    """Whether a module is compiled, has hooks, or has a method that replaces its class's."""
    own = [name for name, value in vars(part).items() if callable(value)]
    is_patched = any(callable(getattr(type(part), name, None)) for name in own)
    return is_patched or bool(part._compiled_call_impl) or _has_hooks(part)


def _has_hooks(part: nn.Module) -> bool:
    of_weights = [
        getattr(weight, kind, None)
        for weight in part.parameters(recurse=False)
        for kind in ("_backward_hooks", "_post_accumulate_grad_hooks")
    ]
    of_part = part._forward_hooks, part._forward_pre_hooks
    return any((*of_weights, *of_part, part._backward_hooks, part._backward_pre_hooks))


def _sees_each(callback: L.Callback) -> bool:
    if isinstance(callback, ModelCheckpoint) and callback._every_n_train_steps > 0:
        return True
    if getattr(callback, "refresh_rate", 1) > 1:  # a bar that is drawn every n steps
        return True
    return type(callback) not in NOW_AND_THEN and bool(
        _overridden(callback, L.Callback, STEP_HOOKS)
    )


def _overridden(thing: Any, base: type[Any], hooks: tuple[str, ...]) -> list[str]:
    return [hook for hook in hooks if is_overridden(hook, thing, base)]


def install(trainer: L.Trainer) -> None:
    """Let `trainer` fit with an EpochLoop instead of Lightning's loop."""
    given = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = EpochLoop(trainer, given.min_steps, given.max_steps)
