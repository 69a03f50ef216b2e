"""Progress on the screen, and the figure of the first training digits."""

import logging
import shutil
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from torch import Tensor
from tqdm import tqdm

from digits.data.datamodule import ImageDataModule
from digits.files import write_atomically
from digits.inspection import figures
from digits.model.classifier import DigitClassifier

log = logging.getLogger(__name__)


class EpochBar(ProgressBar):
    """A bar per epoch on a terminal; in a log file or a pipe one plain line per epoch."""

    sees_steps = "some"

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


class SampleFigure(Callback):
    """Draws the first training digits, as the reference program plots one, into `path` (PNG)."""

    def __init__(self, path: str, count: int = 32) -> None:
        self.path, self.count = Path(path), count

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and isinstance(datamodule, ImageDataModule) and datamodule.train:
            images_NHW, labels_N = (tensor[: self.count] for tensor in datamodule.train)
            png = BytesIO()
            figures.samples(images_NHW, labels_N).savefig(png, dpi=120)
            write_atomically(self.path, png.getvalue())


def _epoch(trainer: L.Trainer) -> str:
    last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
    return f"Epoch {trainer.current_epoch + 1}/{last}"


def _line(scores: dict[str, Tensor], *names: str) -> str:
    return " ".join(f"{name} {scores[name]:.4f}" for name in names)
