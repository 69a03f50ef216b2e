"""Between two steps, where all is done and nothing under way: saving, and stopping."""

import lightning as L
import torch
import torch.distributed as dist

from digits import signals
from digits.training.exact_state import ends_an_epoch
from digits.training.saving import LastCheckpoint

GO_ON, SAVE = range(2)  # more is the number of a signal that asks to stop


class Pauses(L.Callback):
    """Saves last.ckpt when that is due or the fit ends within an epoch, and raises Stopped for a
    signal, once that is saved.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        signals.listen()  # Lightning has put its own handlers before ours
        signals.steps_begin()

    def between_steps(self, trainer: L.Trainer) -> None:
        """Called by the epoch's loop: as an epoch begins, and after each of its steps."""
        ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if ends_an_epoch(trainer) or ready % trainer.accumulate_grad_batches:
            return  # the epoch's end is under way; gradients are no part of a checkpoint
        last = next((c for c in trainer.callbacks if isinstance(c, LastCheckpoint)), None)  # type: ignore[attr-defined]
        if last and trainer.fit_loop.epoch_loop.done:
            last.save_for_good(trainer)
        wish = signals.asked() or (SAVE if last and last.is_due(trainer) else GO_ON)
        wish = _of_all_processes(wish, trainer.strategy.root_device)
        if last and wish != GO_ON:
            last.save(trainer)
        if wish > SAVE:
            raise signals.Stopped(wish)


def _of_all_processes(wish: int, device: torch.device) -> int:
    """The strongest wish of any."""
    if not dist.is_initialized():
        return wish
    strongest = torch.tensor(wish, device=device)
    dist.all_reduce(strongest, dist.ReduceOp.MAX)
    return int(strongest)
