"""Who looks at a fit's steps, and whether its numbers depend on the threads."""

from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from digits.data.batches import Batches
from digits.data.datamodule import ImageDataModule
from digits.errors import InputError
from digits.model.classifier import has_its_step
from digits.model.linear import bits_ignore_threads

STEP_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
MODULE_STEPS = (
    *TRANSFER,
    *STEP_HOOKS,
    "optimizer_step",
    "optimizer_zero_grad",
    "backward",
    "configure_gradient_clipping",
)
SEES = ("all", "logged", "some")  # steps: each; each that is logged, and some; some, and the last
OF_LIGHTNING: dict[type[Callback], str] = {  # which can't declare it
    ModelCheckpoint: "some",
    Timer: "some",
    LearningRateMonitor: "logged",
    DeviceStatsMonitor: "logged",
    TQDMProgressBar: "some",
    RichProgressBar: "some",
}


def of_each_step(trainer: Trainer) -> str | None:
    """Who sees each step, and so has Lightning's own loop run it; None if nobody does."""
    module, loader = trainer.lightning_module, trainer.train_dataloader
    data, callbacks = trainer.datamodule, trainer.callbacks  # type: ignore[attr-defined]
    reasons = {
        f"the training_step of {type(module).__name__}": not has_its_step(module),
        "manual optimization": not module.automatic_optimization,
        "the strategy": type(trainer.strategy) is not SingleDeviceStrategy,
        "the precision": type(trainer.precision_plugin) is not Precision,
        "the profiler": not isinstance(trainer.profiler, PassThroughProfiler),  # type: ignore[attr-defined]
        "accumulated gradients": trainer.accumulate_grad_batches > 1,
        "validation by the clock": trainer.val_check_batch is None,
        "the data loader": not isinstance(loader, Batches)
        or loader.labels_N.device != trainer.strategy.root_device,
        "the data module's transfer": bool(_overridden(data, LightningDataModule, TRANSFER)),
    }
    named = [reason for reason, holds in reasons.items() if holds]
    hooks = [f"the model's {hook}" for hook in _overridden(module, LightningModule, MODULE_STEPS)]
    watching = [f"callback {type(each).__name__}" for each in callbacks if _sees(each) == "all"]
    return ", ".join([*named, *hooks, *watching]) or None


def of_logged_steps(trainer: Trainer) -> bool:
    """Whether a callback wants each step after which metrics are logged."""
    return any(_sees(callback) == "logged" for callback in trainer.callbacks)  # type: ignore[attr-defined]


def allow_other_threads(trainer: Trainer) -> bool:
    """Whether the weights and scores of a fit are the same with any number of threads."""
    data, loader = trainer.datamodule, trainer.train_dataloader  # type: ignore[attr-defined]
    if trainer.strategy.root_device.type != "cpu":
        return False
    if not isinstance(data, ImageDataModule) or not isinstance(loader, Batches):
        return False
    if trainer.gradient_clip_val:  # a norm is summed up thread by thread
        return False
    sizes = {data.batch_size, len(loader.sampler) % data.batch_size}
    if data.val_size:
        sizes |= {data.eval_batch_size, data.val_size % data.eval_batch_size}
    with trainer.precision_plugin.forward_context():
        return bits_ignore_threads(trainer.lightning_module, sizes - {0})


def _sees(callback: Callback) -> str | None:
    """Which steps, of SEES: what it declares in `sees_steps`, or what its hooks show."""
    if (declared := getattr(callback, "sees_steps", None)) is not None:
        if declared not in SEES:
            name = f"{type(callback).__name__}.sees_steps={declared}"
            raise InputError(f"callbacks: {name}: expected one of {', '.join(SEES)}")
        return str(declared)
    if isinstance(callback, ModelCheckpoint) and callback._every_n_train_steps > 0:
        return "all"
    base = next((known for known in OF_LIGHTNING if isinstance(callback, known)), Callback)
    return "all" if _overridden(callback, base, STEP_HOOKS) else OF_LIGHTNING.get(base)


def _overridden(thing: Any, base: type[Any], hooks: tuple[str, ...]) -> list[str]:
    return [hook for hook in hooks if is_overridden(hook, thing, base)]
