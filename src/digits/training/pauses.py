"""Save, and stop, between two steps, when nothing is under way."""

import lightning as L
import torch
import torch.distributed as dist

from digits import signals
from digits.training.exact_state import ends_an_epoch, is_adding_up
from digits.training.saving import LastCheckpoint

GO_ON, SAVE = range(2)  # higher ones are numbers of signals that ask to stop


class Pauses(L.Callback):
    """Saves last.ckpt when that is due or the fit ends within an epoch. For a signal it saves, then
    raises Stopped.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        signals.listen()  # Lightning has replaced our handlers by its own
        signals.steps_begin()

    def between_steps(self, trainer: L.Trainer) -> None:
        """Save or stop if need be. The loop calls this as an epoch begins and after each step."""
        loop = trainer.fit_loop.epoch_loop
        if ends_an_epoch(trainer) or _only_begins(trainer):
            return
        if is_adding_up(trainer) and not (loop.done and trainer.world_size == 1):
            return  # a checkpoint has the gradients of one process
        last = next((c for c in trainer.callbacks if isinstance(c, LastCheckpoint)), None)  # type: ignore[attr-defined]
        is_due = last and (loop.done or last.is_due(trainer))
        wish = signals.asked() or (SAVE if is_due else GO_ON)
        wish = _of_all_processes(wish, trainer.strategy.root_device)
        if last and wish != GO_ON:
            last.save(trainer)
        if wish > SAVE:
            raise signals.Stopped(wish)


def _only_begins(trainer: L.Trainer) -> bool:
    """Whether the epoch begins, and another pause comes before its end: a resume would cut what
    callbacks log as an epoch begins, since it has the number of the next step.
    """
    begins = trainer.fit_loop.epoch_loop.batch_progress.current.ready == 0
    return begins and trainer.num_training_batches > trainer.accumulate_grad_batches


def _of_all_processes(wish: int, device: torch.device) -> int:
    """Return the strongest wish of all processes."""
    if not dist.is_initialized():
        return wish
    strongest = torch.tensor(wish, device=device)
    dist.all_reduce(strongest, dist.ReduceOp.MAX)
    return int(strongest)
