"""Lightning's loop over an epoch, with its bookkeeping once in a while instead of at each step.

Lightning's hooks, closures and result tables around a step cost as much as the step of a network
this small. Where nothing asks to see a step, `SparseLoop` does what Lightning's loop would do to
weights and counters, and nothing else; every other step is Lightning's own.
"""

import time
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor

from digits import signals
from digits.training import observers
from digits.training.saving import LastCheckpoint
from digits.training.threads import Threads

LOOK_EVERY = 0.2  # seconds: for the bar, a timer, a save, a signal
GO_ON, SAVE = range(2)  # more is the number of a signal that asks to stop


class SparseLoop(_TrainingEpochLoop):
    """An epoch whose weights, counters, logs and checkpoints are those of Lightning's loop, bit for
    bit on a CPU.

    Lightning runs the last step of an epoch, those with validation after them, the last allowed,
    and one every `LOOK_EVERY` seconds. It runs all of them where a callback, a profiler,
    mixed precision, accumulation, several processes, batches other than `Batches` or `self.log` in
    `training_step` have a part in each. What stops a fit or saves by the clock does so within
    `LOOK_EVERY`. `training_step` returns the loss, a tensor.
    """

    threads: Threads | None = None  # from a fit's first epoch to its end
    sees_every_step = True
    logs_steps = False
    has_looked = False  # Lightning runs the first step of all, which shows whether it uses self.log
    between_steps = False  # whether the state saved, or loaded, has nothing half done

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
        self.sees_every_step = self.logs_steps or observers.see_every_step(self.trainer)
        if self.sees_every_step:
            return
        groups = self.trainer.optimizers[0].param_groups
        self.weights = [weight for group in groups for weight in group["params"]]
        self.threads = self.threads or Threads(observers.allow_other_threads(self.trainer))

    def run(self, data_fetcher: _DataFetcher) -> None:
        try:
            super().run(data_fetcher)
        except BaseException:  # while it validates, Lightning would tear down another loop
            self._release()
            raise

    def advance(self, data_fetcher: _DataFetcher) -> None:
        self._save_or_stop()
        until = time.monotonic() + LOOK_EVERY
        while not self._is_seen_next() and time.monotonic() < until:
            self._step(data_fetcher)
        if self.threads:
            self.threads.look()
        super().advance(data_fetcher)
        self.has_looked = True
        if any(key.startswith("training_step.") for key in self._results):  # it has used self.log
            self.sees_every_step = self.logs_steps = True

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

    def teardown(self) -> None:
        super().teardown()
        self._release()

    def _release(self) -> None:
        if self.threads:
            self.threads.release()
            self.threads = None

    def _is_seen_next(self) -> bool:
        trainer, batches = self.trainer, self.batch_progress
        validate_every = trainer.val_check_batch or 1
        return (
            self.sees_every_step
            or self.restarting
            or not self.has_looked
            or trainer.should_stop
            or batches.current.ready + 1 >= trainer.num_training_batches
            or (batches.current.ready + 1) % validate_every == 0
            or (batches.total.ready + 1) % validate_every == 0
            or self.global_step + 1 == self.max_steps
        )

    def _step(self, data_fetcher: _DataFetcher) -> None:
        trainer, module = self.trainer, self.trainer.lightning_module
        optimizer, counts = trainer.optimizers[0], self.automatic_optimization.optim_progress
        batch, _, _ = next(data_fetcher)
        self.batch_progress.increment_ready()
        self.batch_progress.increment_started()

        def closure() -> Tensor:
            loss: Tensor = module.training_step(batch, self.batch_idx)
            counts.optimizer.zero_grad.increment_by(1)
            for weight in self.weights:  # optimizer.zero_grad() takes 25 us
                weight.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            if trainer.gradient_clip_val:
                module.configure_gradient_clipping(
                    optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                )
            return loss

        counts.optimizer.step.increment_ready()
        optimizer.step(closure)
        counts.optimizer.step.increment_completed()
        self.batch_progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
            self.update_lr_schedulers("step", update_plateau_schedulers=True)
        self.batch_progress.increment_completed()
        self._batches_that_stepped += 1


def install(trainer: Trainer) -> None:
    """Let `trainer` fit with a SparseLoop."""
    given = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = SparseLoop(trainer, given.min_steps, given.max_steps)


def _of_all_processes(wish: int, device: torch.device) -> int:
    """The strongest wish of any."""
    if not dist.is_initialized():
        return wish
    strongest = torch.tensor(wish, device=device)
    dist.all_reduce(strongest, dist.ReduceOp.MAX)
    return int(strongest)
