"""What a run says at its end: a table, and a number for a sweeper."""

import logging
import shlex

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig

from digits.errors import InputError
from digits.files import relative
from digits.training import saving

log = logging.getLogger(__name__)


def objective(trainer: L.Trainer, metric: str | None) -> float | None:
    """The metric a sweep optimises after a fit: the best validation score, or the last training
    one.
    """
    if metric is None:
        return None
    name = f"{metric}_best" if metric.startswith("val/") else metric
    if name not in trainer.callback_metrics:
        there_are = ", ".join(n for n in trainer.callback_metrics if n.count("_") == 0) or "none"
        raise InputError(
            f"optimized_metric={metric}: not measured in this run; there are: {there_are}"
        )
    return float(trainer.callback_metrics[name])


def show(trainer: L.Trainer, paths: DictConfig) -> None:
    """The table at a run's end: test scores, and where everything was written."""
    if not trainer.is_global_zero:
        return
    rows = []
    metrics = trainer.callback_metrics
    if "test/acc" in metrics:
        rows += [
            ("test accuracy", f"{metrics['test/acc']:.4f}"),
            ("test loss", f"{metrics['test/loss']:.4f}"),
        ]
    if ckpt_path := saving.judged_by(trainer):
        rows += [("checkpoint", relative(ckpt_path))]
    rows += [("run folder", relative(paths.output_dir))]
    if any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
        rows += [("curves", f"tensorboard --logdir {shlex.quote(relative(paths.outputs_dir))}")]
    log.info("\n%s", "\n".join(f"{name:<14} {value}" for name, value in rows))
