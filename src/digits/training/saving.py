"""Write checkpoints whole, often enough, and from a state between two steps."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn

from digits.files import keep_as, remove_unfinished, write_atomically
from digits.runs import checkpoint, plain_data
from digits.runs.folder import BEST, LAST, PREVIOUS
from digits.runs.monitors import AUTO, VALIDATION_METRICS, less_is_better, to_monitor
from digits.runs.start import Start

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes atomically: Lightning's own writes into /tmp, then over an old file on another disk.

    The checkpoint that has been read for `begin` is not read again.
    """

    def __init__(self, begin: Start | None = None) -> None:
        super().__init__()
        self.at_hand = {str(begin.path): begin.content} if begin else {}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = BytesIO()
        torch.save(plain_data.of_checkpoint(checkpoint), content)
        write_atomically(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return a checkpoint without ModelCheckpoints' state, since Lightning would remove files
        it names, and without the positions of loops other than fit's: a test would go on there.
        """
        content = self.at_hand.pop(str(path), None) or checkpoint.read(str(path))
        callbacks = content.get("callbacks", {})
        kept = {key: state for key, state in callbacks.items() if not _is_model_checkpoints(state)}
        loops: dict[str, Any] = {f"{name}_loop": {} for name in ("validate", "test", "predict")}
        fit_loop = content.get("loops", {}).get("fit_loop", {})
        for schedule in content.get("lr_schedulers", []):
            _count_milestones(schedule)
        return content | {"callbacks": kept, "loops": loops | {"fit_loop": fit_loop}}


def _count_milestones(schedule: dict[str, Any]) -> None:
    """Make MultiStepLR's milestones a Counter again, also in a SequentialLR: it needs one."""
    if isinstance(milestones := schedule.get("milestones"), dict):
        schedule["milestones"] = Counter(milestones)
    for part in schedule.get("_schedulers", []):
        _count_milestones(part)


def _is_model_checkpoints(state: Any) -> bool:
    return not isinstance(state, dict) or "best_k_models" in state or "best_model_path" in state


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt in `dirpath`: after an epoch's first step (but for the fit's first epoch),
    every `train_time_interval` seconds, when a signal stops the run, and at its end. The one before
    it becomes previous.ckpt.

    The loggers write to disk first, so that nothing is missing after a resume.
    """

    def __init__(self, dirpath: str, train_time_interval: float = 30.0) -> None:
        self.path = Path(dirpath) / LAST
        self.train_time_interval = train_time_interval
        self.saved_at = 0.0
        self.batch = self.epoch = -1  # of the newest checkpoint

    @property
    def best_model_path(self) -> str:
        return str(self.path) if self.path.is_file() else ""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.is_global_zero:
            remove_unfinished(self.path.parent)
        self.saved_at = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._is_saved(trainer)  # a resumed run's state is in a file

    def _is_saved(self, trainer: L.Trainer) -> None:
        self.batch, self.epoch = trainer.fit_loop.total_batch_idx, trainer.current_epoch

    def is_due(self, trainer: L.Trainer) -> bool:
        """Whether an epoch has begun, or the interval is over, since the last save."""
        is_old = time.monotonic() - self.saved_at >= self.train_time_interval
        is_new = self.batch != trainer.fit_loop.total_batch_idx
        return is_new and (is_old or self.epoch != trainer.current_epoch)

    def save(self, trainer: L.Trainer) -> None:
        """Save last.ckpt. Call this in all processes, between steps. Raises OSError if the folder
        cannot be written; last.ckpt is then unchanged.
        """
        if trainer.fast_dev_run or self.batch == trainer.fit_loop.total_batch_idx:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            keep_as(self.path, self.path.with_name(PREVIOUS))
        trainer.save_checkpoint(self.path)
        self.saved_at = time.monotonic()
        self._is_saved(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.save(trainer)


class BestCheckpoint(ModelCheckpoint):
    """Writes best.ckpt. In a resumed run it remembers the model's best score, and the file.

    With `monitor` auto the first validation decides by which score, as monitors.to_monitor says;
    with `mode` auto its name says which way is better.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        filename: str | None = None,
        monitor: str | None = AUTO,
        mode: Literal["auto", "min", "max"] = AUTO,
        **more: Any,
    ) -> None:
        super().__init__(dirpath, filename, mode="max" if mode == AUTO else mode, **more)
        self.is_found, self.has_mode = monitor == AUTO, mode != AUTO
        self._look_at(None if monitor == AUTO else monitor)

    def _look_at(self, monitor: str | None) -> None:
        self.monitor = monitor
        if monitor and not self.has_mode:
            self.mode = "min" if less_is_better(monitor) else "max"

    def _find(self, names: Iterable[str]) -> None:
        if not self.is_found or self.monitor or not (monitor := to_monitor(names)):
            return
        self._look_at(monitor)
        if monitor != VALIDATION_METRICS[0]:
            log.info("%s.ckpt is the one with the best %s (%s)", self.filename, monitor, self.mode)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.ckpt_path and self.is_found:
            self._look_at(to_monitor(trainer.callback_metrics))
        best = trainer.callback_metrics.get(f"{self.monitor}_best")
        if trainer.ckpt_path is None or self.dirpath is None or best is None:
            return
        before = Path(trainer.ckpt_path).with_name(f"{self.filename}.ckpt")
        here = Path(self.dirpath) / before.name
        if before.is_file():
            if before != here and trainer.is_global_zero:
                write_atomically(here, before.read_bytes())
            self.best_k_models = {str(here): best}
            self.best_model_path = self.kth_best_model_path = str(here)
            self.best_model_score = self.kth_value = best

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._find(trainer.callback_metrics)
            if self.monitor or not self.is_found:
                super().on_validation_end(trainer, pl_module)


class OwnCheckpoints(Callback):
    """Lets other ModelCheckpoints without a dirpath, also those that a model brings, write into
    `dirpath`; the last.ckpt of theirs is own_last.ckpt, since a resume needs ours.
    """

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = str(dirpath)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = self.dirpath
                callback.CHECKPOINT_NAME_LAST = f"own_{LAST.removesuffix('.ckpt')}"


def judged_by(trainer: L.Trainer) -> Path | None:
    """Return the checkpoint that was tested, or that judges a fit: best.ckpt, else last.ckpt."""
    if trainer.state.fn == TrainerFn.TESTING:
        return Path(trainer.ckpt_path) if trainer.ckpt_path else None
    written = {
        path.name: path
        for callback in trainer.callbacks  # type: ignore[attr-defined]
        if isinstance(callback, Checkpoint)
        and (path := Path(getattr(callback, "best_model_path", ""))).is_file()
    }
    return written.get(BEST, written.get(LAST))
