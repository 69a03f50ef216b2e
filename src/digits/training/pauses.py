"""What is done once Lightning is done with a step: saving, and stopping."""

from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint

from digits import signals
from digits.training.exact_state import ends_an_epoch
from digits.training.saving import LastCheckpoint

GO_ON, SAVE = range(2)  # more is the number of a signal that asks to stop


class Pauses(Checkpoint):
    """Saves last.ckpt when that is due or the fit ends within an epoch, and raises Stopped for a
    signal, once that is saved. (A Checkpoint, so that Lightning asks it after other callbacks.)

    It waits for a step after which nothing else is to be done: what Lightning saves before a
    validation, or as an epoch ends, goes on after them. But it waits once only: where an epoch has
    one step, say, there is no other.
    """

    waits = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        signals.listen()  # Lightning has put its own handlers before ours
        signals.steps_begin()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress
        is_last = ends_an_epoch(trainer)
        if batches.current.ready % trainer.accumulate_grad_batches and not is_last:
            return  # gradients are no part of a checkpoint
        last = next((c for c in trainer.callbacks if isinstance(c, LastCheckpoint)), None)  # type: ignore[attr-defined]
        is_the_end = _is_stopping(trainer) or 0 <= trainer.max_steps <= trainer.global_step
        if last and is_the_end and not is_last:
            last.save_for_good(trainer)
        wish = signals.asked() or (SAVE if last and last.is_due(trainer) else GO_ON)
        wish = _of_all_processes(wish, trainer.strategy.root_device)
        has_to_wait = is_last or is_the_end or _validates(trainer)
        if wish != GO_ON and (self.waits or not has_to_wait):
            if last:
                last.save(trainer)
            if wish > SAVE:
                raise signals.Stopped(wish)
        self.waits = wish != GO_ON and has_to_wait


def _is_stopping(trainer: L.Trainer) -> bool:
    """Whether Lightning hears that the fit should stop: not before min_epochs and min_steps."""
    fit = trainer.fit_loop
    epochs: Any = fit.epoch_progress.current
    has_epochs = epochs.processed >= (fit.min_epochs or 0)
    return trainer.should_stop and has_epochs and trainer.global_step >= (fit.min_steps or 0)


def _validates(trainer: L.Trainer) -> bool:
    """Whether Lightning does so next, unless by the clock."""
    batches, every = trainer.fit_loop.epoch_loop.batch_progress, trainer.val_check_batch
    counted = batches.total if trainer.check_val_every_n_epoch is None else batches.current
    return bool(trainer.enable_validation and every and counted.ready % every == 0)


def _of_all_processes(wish: int, device: torch.device) -> int:
    """The strongest wish of any."""
    if not dist.is_initialized():
        return wish
    strongest = torch.tensor(wish, device=device)
    dist.all_reduce(strongest, dist.ReduceOp.MAX)
    return int(strongest)
