"""Progress on the screen."""

import logging
import math
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from digits.runs.monitors import DETAILS

log = logging.getLogger(__name__)


class EpochBar(ProgressBar):
    """A bar per epoch on a terminal; in a log file or a pipe one plain line per epoch.

    The line has the scores that the model logs as train/... or val/..., the bar those it knows
    within an epoch: a model's `scores_so_far()`, or what it logs with `prog_bar=True`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
        self.messages: list[AboveTheBar] = []
        self.begin = 0.0
        self.enabled = True
        self.validated = False

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        """Lightning calls this in all processes but one."""
        self.enabled = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.fit_loop.restarted_mid_epoch:  # then Lightning does not start the epoch again
            self._begin(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, 0)

    def _begin(self, trainer: L.Trainer, steps: int) -> None:
        self.begin, self.validated = time.monotonic(), False
        count = trainer.num_training_batches
        if self.enabled and sys.stderr.isatty():
            self.bar = tqdm(
                total=int(count) if math.isfinite(count) else None,
                desc=_epoch(trainer),
                initial=steps,
                ncols=shutil.get_terminal_size().columns,  # 80 where the terminal does not say,
                nrows=2,  # and tqdm would show nothing there
                bar_format="{desc} {n_fmt}/{total_fmt} {bar:10} {elapsed}<{remaining}{postfix}",
            )
            self.messages = [AboveTheBar(handler, self.bar) for handler in _of_the_terminal()]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.bar is None:  # batch_idx skips the steps that EpochLoop ran in between
            return
        if self.bar.update(batch_idx + 1 - self.bar.n):  # true about ten times a second
            known = getattr(pl_module, "scores_so_far", None)
            scores = known() if known else trainer.progress_bar_metrics
            self.bar.set_postfix_str(_line(scores), refresh=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated = True

    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        line = _line(_of_epoch(trainer.callback_metrics, self.validated))
        if self.bar is not None:
            self.bar.bar_format = "{desc} {bar:6} {elapsed}{postfix}"  # 80 columns, scores and all
            self.bar.set_postfix_str(line)
        self._close()
        bar_was_seen = sys.stderr.isatty() and sys.stdout.isatty()  # train.log has it
        level = logging.DEBUG if bar_was_seen else logging.INFO
        told = f"{_epoch(trainer)} {line} {time.monotonic() - self.begin:.1f} s"
        log.log(level, "%s", told.replace("  ", " "))

    def on_exception(self, trainer: L.Trainer, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        for messages in self.messages:
            messages.handler.removeFilter(messages)
        self.messages = []


class AboveTheBar(logging.Filter):
    """Of a handler while there is a bar: each record gets a line of its own, above it."""

    def __init__(self, handler: logging.Handler, bar: "tqdm[Any]") -> None:
        super().__init__()
        self.handler, self.bar = handler, bar
        handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        with tqdm.external_write_mode(file=self.bar.fp):
            self.handler.emit(record)
        return False  # it is written


def _of_the_terminal() -> list[logging.Handler]:
    """Whoever's handlers write to stdout or stderr; where a logger has none, logging's last one."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {handler for logger in loggers for handler in getattr(logger, "handlers", ())}
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return [
        handler
        for handler in handlers | {logging.lastResort}
        if handler is not None and getattr(handler, "stream", None) in streams
    ]


def _epoch(trainer: L.Trainer) -> str:
    last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
    return f"Epoch {trainer.current_epoch + 1}/{last}"


def _of_epoch(metrics: Mapping[str, Any], validated: bool) -> dict[str, Any]:
    """Training's scores by their short names and, if the epoch `validated`, validation's."""
    train = {
        name.removeprefix("train/"): value
        for name, value in metrics.items()
        if name.startswith("train") or ("/" not in name and not name.startswith(("val", "test")))
    }
    val = {name: value for name, value in metrics.items() if name.startswith("val") and validated}
    return {name: value for name, value in (train | val).items() if not name.endswith(DETAILS)}


def _line(scores: Mapping[str, Any]) -> str:
    return " ".join(f"{name} {float(value):.4f}" for name, value in scores.items())
