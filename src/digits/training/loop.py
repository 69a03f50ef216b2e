"""Lightning's loop over an epoch, with its bookkeeping once in a while instead of at each step.

Lightning's hooks, closures and result tables around a step cost as much as the step of a network
this small. Where nothing asks to see a step, `SparseLoop` does what Lightning's loop would do to
weights and counters, and nothing else; every other step is Lightning's own.
"""

import logging
import time

import lightning as L
from lightning.pytorch.loops.fetchers import _DataFetcher
from torch import Tensor

from digits.training import observers, pauses
from digits.training.pauses import PausingLoop

log = logging.getLogger(__name__)

TESTED = "2.6."  # versions of Lightning whose bookkeeping `_step` knows
LOOK_EVERY = 0.2  # seconds: for the bar, a timer, a save, a signal


class SparseLoop(PausingLoop):
    """An epoch whose weights, counters, logs and checkpoints are those of Lightning's loop, bit for
    bit on a CPU.

    Lightning runs the last step of an epoch, those with validation after them, the last allowed,
    those that an observer logs at, and one every `LOOK_EVERY` seconds; and all of them if
    `observers.of_each_step` names somebody. What stops a fit or saves by the clock does so within
    `LOOK_EVERY`. The step is DigitClassifier's: it returns the loss, and does not use `self.log`.
    """

    observer: str | None = ""  # who sees each step, if anybody does
    sees_logged = False

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        before, self.observer = self.observer, observers.of_each_step(self.trainer)
        if self.observer and self.observer != before:
            log.debug("Lightning's own loop runs each step, for %s", self.observer)
        if self.observer:
            return
        self.sees_logged = observers.of_logged_steps(self.trainer)
        groups = self.trainer.optimizers[0].param_groups
        self.weights = [weight for group in groups for weight in group["params"]]

    def steps_before_lightnings(self, data_fetcher: _DataFetcher) -> None:
        until = time.monotonic() + LOOK_EVERY
        while not self._is_seen_next() and time.monotonic() < until:
            self._step(data_fetcher)

    def _is_seen_next(self) -> bool:
        trainer, batches = self.trainer, self.batch_progress
        validate_every = trainer.val_check_batch or 1
        return (
            bool(self.observer)
            or self.restarting
            or trainer.should_stop
            or batches.current.ready + 1 >= trainer.num_training_batches
            or (batches.current.ready + 1) % validate_every == 0
            or (batches.total.ready + 1) % validate_every == 0
            or self.global_step + 1 == self.max_steps
            or (self.sees_logged and trainer._logger_connector.should_update_logs)
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


def install(trainer: L.Trainer) -> None:
    """Let `trainer` fit with a SparseLoop, if it was tested with this Lightning."""
    if L.__version__.startswith(TESTED):
        pauses.install(trainer, SparseLoop)
    else:
        log.info("Lightning %s runs each step itself: not tested with it", L.__version__)
        pauses.install(trainer)
