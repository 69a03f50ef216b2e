"""Between two steps of a fit: a save by the clock, and an end that a signal asked for."""

from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from digits import signals
from digits.training import observers, replay
from digits.training.logged_means import LoggedMeans
from digits.training.saving import LastCheckpoint
from digits.training.threads import Threads

GO_ON, SAVE = range(2)  # more is the number of a signal that asks to stop


class PausingLoop(_TrainingEpochLoop):
    """Lightning's loop over an epoch. Before a step it saves if that is due, and stops if a signal
    came: what is saved then has nothing half done. While it runs, it watches over the threads.
    """

    between_steps = False  # whether the state saved, or loaded, has nothing half done
    threads: Threads | None = None  # from a fit's first epoch to its end

    def __init__(self, trainer: Trainer, min_steps: int | None, max_steps: int) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self._results: LoggedMeans = LoggedMeans(training=True)

    def on_save_checkpoint(self) -> dict[str, Any]:
        between_steps = {"between_steps": True} if self.between_steps else {}
        return super().on_save_checkpoint() | between_steps

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.between_steps = state_dict.get("between_steps", False)

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        signals.steps_begin()
        epochs = self.trainer.fit_loop.epoch_progress
        if epochs.current.ready == epochs.current.processed:
            # saved by a ModelCheckpoint after an epoch's last step: Lightning has completed that
            # one, takes this one for begun, and its data for used up
            epochs.increment_ready()
            epochs.increment_started()
            iter(data_fetcher)
        if self.between_steps:  # else Lightning looks for a validation to repeat or to skip
            self.restarting = self.between_steps = False
        if self.threads is None:
            self.threads = Threads(observers.allow_other_threads(self.trainer))

    def run(self, data_fetcher: _DataFetcher) -> None:
        try:
            super().run(data_fetcher)
            self._results.before = {}
        except BaseException:  # while it validates, Lightning would tear down another loop
            self._release()
            raise

    def advance(self, data_fetcher: _DataFetcher) -> None:
        self._save_or_stop()
        self.steps_before_lightnings(data_fetcher)
        if self.threads:
            self.threads.look()
        super().advance(data_fetcher)

    def steps_before_lightnings(self, data_fetcher: _DataFetcher) -> None:
        """Room for steps that Lightning need not run itself."""

    def teardown(self) -> None:
        super().teardown()
        self._release()

    def _release(self) -> None:
        if self.threads:
            self.threads.release()
            self.threads = None

    def _save_or_stop(self) -> None:
        trainer = self.trainer
        if self.batch_progress.current.ready % trainer.accumulate_grad_batches:
            return  # gradients are no part of a checkpoint
        last = next((c for c in trainer.callbacks if isinstance(c, LastCheckpoint)), None)
        wish = signals.asked() or (SAVE if last and last.is_due(trainer) else GO_ON)
        wish = _of_all_processes(wish, trainer.strategy.root_device)
        if last and wish != GO_ON:
            self.between_steps = True
            last.save(trainer)
            self.between_steps = False
        if wish > SAVE:
            raise signals.Stopped(wish)

    def _broadcast_sigterm_tensor(self) -> None:
        """Lightning's own question at each step; `_save_or_stop` has asked it."""


def install(trainer: Trainer, loop: type[PausingLoop] = PausingLoop) -> None:
    """Let `trainer` fit with a `loop`."""
    given = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = loop(trainer, given.min_steps, given.max_steps)
    replay.install(trainer)


def _of_all_processes(wish: int, device: torch.device) -> int:
    """The strongest wish of any."""
    if not dist.is_initialized():
        return wish
    strongest = torch.tensor(wish, device=device)
    dist.all_reduce(strongest, dist.ReduceOp.MAX)
    return int(strongest)
