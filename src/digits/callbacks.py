"""What a run shows and writes besides its checkpoints: progress, metrics.json, figures."""

import json
import logging
import platform
import shutil
import statistics
import sys
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.tensorboard.summary import hparams
from tqdm import tqdm

from digits import checkpoint, figures
from digits.datamodule import MNISTDataModule
from digits.files import write_atomically
from digits.model import DigitClassifier

log = logging.getLogger(__name__)

HPARAMS_COLUMNS = ("train/loss", "train/acc", "val/loss", "val/acc", "test/loss", "test/acc")


class EpochBar(ProgressBar):
    """A bar per epoch on a terminal; in a log file or a pipe one plain line per epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
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
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begin, self.validated = time.monotonic(), False
        if self.enabled and sys.stderr.isatty():
            self.bar = tqdm(
                total=int(trainer.num_training_batches),
                desc=_epoch(trainer),
                initial=trainer.fit_loop.epoch_loop.batch_progress.current.ready,
                ncols=shutil.get_terminal_size().columns,  # 80 where the terminal does not say,
                nrows=2,  # and tqdm would show nothing there
                bar_format="{desc} {n_fmt}/{total_fmt} {bar:10} {elapsed}<{remaining}{postfix}",
            )

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.bar is None:  # batch_idx skips the steps that SparseLoop ran in between
            return
        if self.bar.update(batch_idx + 1 - self.bar.n):  # true about ten times a second
            assert isinstance(pl_module, DigitClassifier)
            scores = pl_module.train_score.so_far()
            self.bar.set_postfix_str(_line(scores, "loss", "acc"), refresh=False)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, DigitClassifier)
        scores = pl_module.train_score.compute() | trainer.callback_metrics
        line = _line(scores, "loss", "acc", *(("val/loss", "val/acc") if self.validated else ()))
        if self.bar is not None:
            self.bar.bar_format = "{desc} {bar:6} {elapsed}{postfix}"  # 80 columns, scores and all
            self.bar.set_postfix_str(line)
        self._close()
        bar_was_seen = sys.stderr.isatty() and sys.stdout.isatty()  # train.log has it
        log.log(
            logging.DEBUG if bar_was_seen else logging.INFO,
            "%s %s %.1f s",
            _epoch(trainer),
            line,
            time.monotonic() - self.begin,
        )

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class RunSummary(Callback):
    """Writes metrics.json into `output_dir` and fills TensorBoard's HPARAMS tab with `hparams`.

    metrics.json is flat: last and best value of each metric (losses, fractions), `fit_seconds`,
    `epoch_seconds` (the median epoch's, validation included), `images_per_second`, seed,
    checkpoint and versions. A run that is interrupted leaves what it had.
    """

    def __init__(
        self, output_dir: str, seed: int | None = None, hparams: dict[str, Any] | None = None
    ) -> None:
        self.path = Path(output_dir) / "metrics.json"
        self.hparams = dict(hparams or {})
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
        self.restored: dict[str, Any] | None = None

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
        self.restored = state_dict

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.begin = self.epoch_begin = time.monotonic()
        if self.restored:  # what was done before counts, what was lost does not
            self.begin -= self.restored["fit_seconds"]
            self.epoch_begin -= self.restored["this_epoch_seconds"]
            self.epoch_seconds = list(self.restored["epoch_seconds"])
            self.images = self.restored["images"]
            self.metrics = self.restored["metrics"] | self.metrics
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
        ckpt_path = checkpoint.judged_by(trainer)
        self.metrics["ckpt_path"] = ckpt_path and str(ckpt_path)
        if trainer.is_global_zero:
            text = json.dumps(self.metrics, indent=2) + "\n"
            write_atomically(self.path, text.encode())


class SampleFigure(Callback):
    """Draws the first training digits, as the reference program plots one, into `path` (PNG)."""

    def __init__(self, path: str, count: int = 32) -> None:
        self.path, self.count = Path(path), count

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and isinstance(datamodule, MNISTDataModule) and datamodule.train:
            images_NHW, labels_N = (tensor[: self.count] for tensor in datamodule.train)
            png = BytesIO()
            figures.samples(images_NHW, labels_N).savefig(png, dpi=120)
            write_atomically(self.path, png.getvalue())


def _epoch(trainer: L.Trainer) -> str:
    last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
    return f"Epoch {trainer.current_epoch + 1}/{last}"


def _line(scores: dict[str, Tensor], *names: str) -> str:
    return " ".join(f"{name} {scores[name]:.4f}" for name in names)
