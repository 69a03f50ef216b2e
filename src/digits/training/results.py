"""The result of a run at its end: a table for people, and a number for a sweeper."""

import copy
import logging
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from omegaconf import DictConfig

from digits.errors import InputError
from digits.files import relative
from digits.inspection import reporting
from digits.inspection.looks import random_kept
from digits.runs import recorded, status
from digits.runs.folder import RunFolder
from digits.runs.monitors import DETAILS, by_all_names, common
from digits.text import shown
from digits.training import saving
from digits.training.scores import Divergence
from digits.training.summary import WHOLE, RunSummary, device_name

log = logging.getLogger(__name__)

FIT_SECONDS = "fit_seconds"  # RunSummary measures it by the end of the fit
NAMES = {"test/acc": "test accuracy", "test/loss": "test loss"}


Objective = float | list[float] | None  # for a sweeper; a list for several metrics


def objective(trainer: L.Trainer, metric: str | Sequence[str] | None) -> Objective:
    """Return the metric that a sweep optimises: the best validation score, the last training score,
    or the seconds of the fit.
    """
    summaries = [c for c in trainer.callbacks if isinstance(c, RunSummary)]  # type: ignore[attr-defined]
    measured = trainer.callback_metrics | dict(summaries[0].metrics if summaries else {})
    return of_measured(measured, metric)


def of_measured(measured: Mapping[str, Any], metric: str | Sequence[str] | None) -> Objective:
    """Return the metric that a sweep optimises, from the content of metrics.json."""
    if metric is None:
        return None
    if not isinstance(metric, str):
        return [_one(measured, name) for name in metric]
    return _one(measured, metric)


def _one(measured: Mapping[str, Any], metric: str) -> float:
    name = f"{metric}_best" if metric.startswith("val") else metric
    try:
        return float(f"{float(by_all_names(measured)[name]):.7g}")  # as metrics.json has it
    except (KeyError, TypeError, ValueError):
        raise _not_logged("optimized_metric", metric, measured) from None


def _not_logged(setting: str, score: str, measured: Iterable[str]) -> InputError:
    known = [n for n in measured if n.startswith(("train", "val")) and not n.endswith(DETAILS)]
    there_are = ", ".join(known) or "none"
    return InputError(f"{setting}={score}: not measured in this run; there are: {there_are}")


class Awaited(Callback):
    """Raises InputError for a score that a setting waits for (name, score, whether it must come)
    and that nobody logs: one of validation before the first step, if Lightning's sanity check runs
    or there is no validation; any other at the end of the first epoch that has all scores.
    """

    def __init__(self, settings: Iterable[tuple[str, str, bool]]) -> None:
        self.settings = list(settings)
        self.is_validated = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        every = trainer.check_val_every_n_epoch or 1
        for plan in trainer.lr_scheduler_configs if pl_module.automatic_optimization else ():
            if plan.reduce_on_plateau and plan.strict and str(plan.monitor).startswith("val"):
                self.settings += [("lr_scheduler.monitor", str(plan.monitor), True)]
                if plan.interval == "epoch":  # it moves when there is a new score
                    plan.frequency = math.lcm(plan.frequency, every)
        for setting, score, must_come in () if trainer.enable_validation else self.settings:
            if must_come and score.startswith("val"):
                raise InputError(f"{setting}={score}: expected a val_dataloader, and validation")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.is_validated = not trainer.sanity_checking
        if self.is_validated or any(n.startswith("val") for n in trainer.callback_metrics):
            self._look(trainer, "val")  # some models log nothing in a sanity check

    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.is_validated or not trainer.enable_validation:
            self._look(trainer)
            self.settings = []

    def _look(self, trainer: L.Trainer, stage: str = "") -> None:
        known = trainer.callback_metrics
        for setting, score, _ in self.settings:
            is_ours = setting == "optimized_metric"  # Lightning reads other settings
            names = (*by_all_names(known), FIT_SECONDS) if is_ours else known
            if score not in names and score.startswith(stage):
                raise _not_logged(setting, score, trainer.callback_metrics)


def check_test_batches(cfg: DictConfig, data: L.LightningDataModule) -> None:
    """Raises InputError, before the fit, for a share of the test batches that is none."""
    share = cfg.trainer.get("limit_test_batches")
    if not (cfg.test and isinstance(share, float) and 0 < share < 1):
        return
    other = copy.copy(data)  # its setup may replace what the fit needs
    with random_kept(), suppress(AttributeError):  # it may lack a test, or need the Trainer
        other.prepare_data()
        other.setup("test")
        count = sized_len(other.test_dataloader()) or math.inf
        if share * count < 1:
            raise InputError(
                f"trainer.limit_test_batches={share}: of {count} batches that is none; "
                f"expected at least {math.ceil(1e4 / count) / 1e4}, or a number of batches"
            )


def test(
    trainer: L.Trainer, model: L.LightningModule, data: L.LightningDataModule, path: Path | None
) -> None:
    """Test the checkpoint at `path`, else the weights in memory. A fit's model may have no test."""
    if lacks := reporting.untested(model, data):
        if trainer.state.fn != TrainerFn.FITTING:
            raise InputError(f"ckpt_path={path}: can't be tested: {lacks}")
        log.info("not tested: %s", lacks)
    else:
        trainer.test(model, data, ckpt_path=path, weights_only=True, verbose=False)


def say_share(cfg: DictConfig) -> None:
    """Log that a run was tested on a part of the images if `cfg` tests its checkpoint on others."""
    run = RunFolder.of(Path(cfg.ckpt_path))
    of_trainer = (recorded.config(run) if run else {}).get("trainer")
    was = of_trainer.get("limit_test_batches", 1.0) if isinstance(of_trainer, dict) else 1.0
    if was != (now := cfg.trainer.get("limit_test_batches")):
        here = "all images" if now == 1.0 else f"with {now}"
        log.info(
            "the run tested with trainer.limit_test_batches=%s; this tests %s", shown(was), here
        )


def show(trainer: L.Trainer, paths: DictConfig) -> None:
    """Log the table at a run's end: test scores, facts about the fit, and where everything is."""
    if not trainer.is_global_zero:
        return
    rows = [
        (NAMES.get(common(name), name), f"{value:.4f}")
        for name, value in sorted(trainer.callback_metrics.items())
        if name.startswith("test") and name != "test/images"
    ]
    rows += _of_fit(trainer, RunFolder(paths.output_dir))
    rows += [("device", device_name(trainer.strategy.root_device))]
    if ckpt_path := saving.judged_by(trainer):
        rows += [("checkpoint", relative(ckpt_path))]
    rows += [("run folder", relative(paths.output_dir))]
    if (report := RunFolder(paths.output_dir).report).is_file():
        rows += [("report", relative(report))]
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        is_inside = Path(paths.output_dir).is_relative_to(paths.outputs_dir)
        logs = relative(paths.outputs_dir if is_inside else paths.output_dir)
        rows += [("curves", f"tensorboard --logdir {shlex.quote(logs)}")]
    log.info("\n%s", "\n".join(f"{name:<14} {value}" for name, value in rows))


def _of_fit(trainer: L.Trainer, run: RunFolder) -> list[tuple[str, str]]:
    """Return rows for why the fit ended, unless after the last epoch, and for a diverging loss."""
    rows = []
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, RunSummary) and callback.ended not in (None, WHOLE):
            rows.append(("ended", f"epoch {callback.metrics['epochs']}: {callback.ended}"))
        if isinstance(callback, Divergence) and callback.warning:
            status.warn(run.path, callback.warning)
            rows.append(("warning", callback.warning))
    return rows
