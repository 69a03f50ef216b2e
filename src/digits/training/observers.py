"""Who looks at a fit's steps, and whether its numbers depend on the threads."""

from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from digits.data.batches import Batches
from digits.data.datamodule import ImageDataModule
from digits.model.linear import bits_ignore_threads
from digits.training.bar import EpochBar

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
NOW_AND_THEN = (EpochBar, ModelCheckpoint, Timer)  # callbacks that need not see each step


def see_every_step(trainer: Trainer) -> bool:
    module, loader = trainer.lightning_module, trainer.train_dataloader
    return (
        not module.automatic_optimization
        or type(trainer.strategy) is not SingleDeviceStrategy
        or type(trainer.precision_plugin) is not Precision
        or not isinstance(trainer.profiler, PassThroughProfiler)  # type: ignore[attr-defined]
        or trainer.accumulate_grad_batches > 1
        or not isinstance(loader, Batches)
        or loader.labels_N.device != trainer.strategy.root_device
        or _overrides(trainer.datamodule, LightningDataModule, TRANSFER)  # type: ignore[attr-defined]
        or _overrides(module, LightningModule, MODULE_STEPS)
        or any(_callback_sees(callback) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    )


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
    return bits_ignore_threads(trainer.lightning_module, sizes - {0})


def _callback_sees(callback: Callback) -> bool:
    if isinstance(callback, ModelCheckpoint) and callback._every_n_train_steps > 0:
        return True
    base = next((known for known in NOW_AND_THEN if isinstance(callback, known)), Callback)
    return _overrides(callback, base, STEP_HOOKS)


def _overrides(thing: Any, base: type[Any], hooks: tuple[str, ...]) -> bool:
    return any(is_overridden(hook, thing, base) for hook in hooks)
