"""The result of a run at its end: a table for people, and a number for a sweeper."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig

from digits import machine
from digits.errors import InputError
from digits.files import relative
from digits.inspection import reporting
from digits.runs import status
from digits.runs.folder import RunFolder
from digits.runs.monitors import DETAILS, common
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
        return float(f"{float(measured[name]):.7g}")  # as metrics.json has it
    except (KeyError, TypeError, ValueError):
        raise _not_logged(metric, measured) from None


def _not_logged(metric: str, measured: Mapping[str, Any]) -> InputError:
    known = [n for n in measured if n.startswith(("train", "val")) and not n.endswith(DETAILS)]
    there_are = ", ".join(known) or "none"
    return InputError(
        f"optimized_metric={metric}: not measured in this run; there are: {there_are}"
    )


class ObjectiveLogged(Callback):
    """Raises InputError for a metric that nobody logs: at the end of the first epoch that has all
    scores, not only after the fit.
    """

    def __init__(self, metrics: str | Sequence[str] | None) -> None:
        self.metrics = [metrics] if isinstance(metrics, str) else list(metrics or [])
        self.is_validated = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.is_validated = not trainer.sanity_checking

    def on_epoch_scored(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.is_validated or not trainer.enable_validation:
            for metric in self.metrics:
                if metric not in trainer.callback_metrics and metric != FIT_SECONDS:
                    raise _not_logged(metric, trainer.callback_metrics)
            self.metrics = []


class Awaited(Callback):
    """Raises InputError before the first step if a validation score that `settings` wait for (name,
    score, whether it must come) never comes. Lightning's sanity check tells what the model logs.
    """

    def __init__(self, settings: Sequence[tuple[str, str, bool]]) -> None:
        self.settings = settings

    def on_sanity_check_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        known = ", ".join(trainer.callback_metrics)
        for key, score, _ in self.settings:
            if known and score not in trainer.callback_metrics:  # some log nothing in this check
                raise InputError(f"{key}={score}: validation does not log it; it logs: {known}")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for key, score, must_come in self.settings:
            if must_come and not trainer.enable_validation:
                raise InputError(f"{key}={score}: expected a validation: a val_dataloader, too")
        every = trainer.check_val_every_n_epoch or 1
        for schedule in trainer.lr_scheduler_configs if pl_module.automatic_optimization else ():
            waits = schedule.reduce_on_plateau and schedule.strict and schedule.interval == "epoch"
            is_vals = str(schedule.monitor).startswith("val")
            if waits and is_vals and schedule.frequency % every:
                raise InputError(
                    f"trainer.check_val_every_n_epoch={every}: the model's schedule looks at "
                    f"{schedule.monitor} more often; expected 1, or frequency={every} in the "
                    "lr_scheduler that its configure_optimizers returns"
                )


def check_test_batches(cfg: DictConfig) -> None:
    """Raises InputError, before the fit, for a fraction of the test batches that is none."""
    share = cfg.trainer.get("limit_test_batches")
    if not cfg.test or cfg.trainer.get("fast_dev_run") or not isinstance(share, float):
        return
    data = instantiate(cfg.data)  # another one: its setup may replace what the fit needs
    if not 0 < share < 1 or machine.rank() or reporting.untested(None, data):
        return
    with isolate_rng(), suppress(AttributeError):  # it may need the Trainer, which says so later
        data.prepare_data()
        data.setup("test")
        loaders = data.test_dataloader()
        for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
            if (count := sized_len(loader)) and int(share * count) == 0:
                raise InputError(
                    f"trainer.limit_test_batches={share}: of {count} batches that is none; "
                    f"expected at least {1 / count:.2g}, or a number of batches"
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
