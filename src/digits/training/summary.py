"""metrics.json, and TensorBoard's HPARAMS tab."""

import json
import platform
import statistics
import time
from contextlib import suppress
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.tensorboard.summary import hparams

from digits.files import write_atomically
from digits.model.classifier import DigitClassifier
from digits.redact import redacted
from digits.runs.folder import RunFolder
from digits.training import saving

HPARAMS_COLUMNS = ("train/loss", "train/acc", "val/loss", "val/acc", "test/loss", "test/acc")


class RunSummary(Callback):
    """Writes metrics.json into `output_dir` and fills TensorBoard's HPARAMS tab with `hparams`.

    metrics.json is flat: last and best value of each metric (losses, fractions), `fit_seconds`,
    `epoch_seconds` (the median epoch's, validation included), `images_per_second`, seed,
    checkpoint and versions. A run that is interrupted leaves what it had.
    """

    def __init__(
        self, output_dir: str, seed: int | None = None, hparams: dict[str, Any] | None = None
    ) -> None:
        self.path = RunFolder(output_dir).metrics_json
        self.hparams = {
            name: value if isinstance(value, int | float | None) else redacted(str(value))
            for name, value in (hparams or {}).items()
        }
        self.metrics: dict[str, Any] = {
            "python": platform.python_version(),
            "torch": str(torch.__version__),  # a class of its own
            "lightning": L.__version__,
        }
        if seed is not None:
            self.metrics["seed"] = seed
        self.begin = self.epoch_begin = 0.0
        self.epoch_seconds: list[float] = []
        self.images = 0
        self.seconds_before = self.epoch_seconds_before = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.metrics["parameters"] = sum(p.numel() for p in pl_module.parameters())

    def state_dict(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "metrics": self.metrics,
            "fit_seconds": now - self.begin,
            "this_epoch_seconds": now - self.epoch_begin,
            "epoch_seconds": self.epoch_seconds,
            "images": self.images,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was done before counts; what was lost does not."""
        self.seconds_before = float(state_dict["fit_seconds"])
        self.epoch_seconds_before = float(state_dict["this_epoch_seconds"])
        self.epoch_seconds = [float(seconds) for seconds in state_dict["epoch_seconds"]]
        self.images = int(state_dict["images"])
        metrics = dict(state_dict["metrics"])
        if not all(isinstance(value, str | int | float | None) for value in metrics.values()):
            raise TypeError("metrics are numbers")
        self.metrics = metrics | self.metrics

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.monotonic()
        self.begin, self.epoch_begin = now - self.seconds_before, now - self.epoch_seconds_before
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                columns = dict.fromkeys(HPARAMS_COLUMNS, 0.0)  # the tab shows the scalars' values
                for summary in hparams(self.hparams, columns):  # type: ignore[no-untyped-call]
                    logger.experiment.file_writer.add_summary(summary)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch_begin = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DigitClassifier)
        self.epoch_seconds.append(time.monotonic() - self.epoch_begin)
        self.images += int(pl_module.train_score.images) * trainer.world_size

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer)

    def on_exception(self, trainer: L.Trainer, *_: Any) -> None:
        with suppress(OSError):  # the exception is the news
            self._write(trainer)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        if trainer.state.fn == TrainerFn.FITTING and self.begin:
            seconds = time.monotonic() - self.begin
            self.metrics |= {
                "epochs": trainer.current_epoch,
                "fit_seconds": round(seconds, 3),
                "images_per_second": round(self.images / seconds, 1),
            }
            if self.epoch_seconds:
                self.metrics["epoch_seconds"] = round(statistics.median(self.epoch_seconds), 4)
        for name, value in trainer.callback_metrics.items():  # float32 has 7 digits, JSON no NaN
            self.metrics[name] = float(f"{value:.7g}") if value.isfinite() else None
        ckpt_path = saving.judged_by(trainer)
        self.metrics["ckpt_path"] = ckpt_path and str(ckpt_path)
        if trainer.is_global_zero:
            text = json.dumps(self.metrics, indent=2) + "\n"
            write_atomically(self.path, text.encode())
