"""metrics.json: what a run came to, on what, and why it ended."""

import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Sequence, Sized
from contextlib import suppress
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer
from lightning.pytorch.trainer.states import TrainerFn

from digits.files import write_atomically
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.status import PRUNED
from digits.training import saving

log = logging.getLogger(__name__)

FAR = 3  # times its fastest epoch, and a second: a run that other programs hold up
WHOLE = "trainer.max_epochs"  # why most fits end


class RunSummary(Callback):
    """Writes metrics.json into `output_dir`.

    It is flat: last and best value of each metric (losses, fractions), `fit_seconds`,
    `epoch_seconds` (the median epoch's, validation included), `images_per_second`, `ended` (why),
    seed, tags, checkpoint, device, versions, command, overrides, date and commit. A run that is
    interrupted leaves what it had.
    """

    def __init__(
        self, output_dir: str, seed: int | None = None, tags: Sequence[str] | None = None
    ) -> None:
        self.path = RunFolder(output_dir).metrics_json
        self.metrics: dict[str, Any] = {
            "python": platform.python_version(),
            "torch": str(torch.__version__),  # a class of its own
            "lightning": L.__version__,
            **recorded.facts(),
        }
        if seed is not None:
            self.metrics["seed"] = seed
        if tags:
            self.metrics["tags"] = ",".join(tags)
        self.begin = self.epoch_begin = 0.0
        self.epoch_seconds: list[float] = []
        self.images: int | None = 0  # None: the data does not tell
        self.seconds_before = self.epoch_seconds_before = 0.0
        self.is_busy = False  # the machine, as far as a line has said so

    @property
    def ended(self) -> str | None:
        """Why the fit ended, if it has."""
        return self.metrics.get("ended")

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.metrics["parameters"] = sum(p.numel() for p in pl_module.parameters())
        self.metrics["device"] = device_name(trainer.strategy.root_device)

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
        self.images = state_dict["images"]
        if not isinstance(self.images, int | None):
            raise TypeError("images are counted")
        metrics = dict(state_dict["metrics"])
        if not all(isinstance(value, str | int | float | None) for value in metrics.values()):
            raise TypeError("metrics are numbers")
        self.metrics = metrics | self.metrics

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.monotonic()
        self.begin, self.epoch_begin = now - self.seconds_before, now - self.epoch_seconds_before
        if hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1):
            self._say_busy(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch_begin = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch_seconds.append(time.monotonic() - self.epoch_begin)
        are_alike = not trainer.enable_validation or trainer.check_val_every_n_epoch == 1
        slowest, fastest = max(self.epoch_seconds), min(self.epoch_seconds)
        if are_alike and slowest > FAR * fastest + 1:
            self._say_busy(trainer)
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        images = images_in(trainer.train_dataloader, batches)
        if self.images is not None and images is not None:
            self.images += images * trainer.world_size
        else:
            self.images = None

    def _say_busy(self, trainer: L.Trainer) -> None:
        """Once: each step waits for the last of several threads, which other programs hold up."""
        if (
            self.is_busy
            or trainer.strategy.root_device.type != "cpu"
            or torch.get_num_threads() < 2
        ):
            return
        self.is_busy = True
        log.warning(
            "other programs use this machine's cores, and %d threads wait for each other at each "
            "step: OMP_NUM_THREADS=1 is quicker then (the last digits may differ)",
            torch.get_num_threads(),
        )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metrics["ended"] = why_ended(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer)

    def on_exception(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step:
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
            }
            if self.images is not None:
                self.metrics["images_per_second"] = round(self.images / seconds, 1)
            if self.epoch_seconds:
                self.metrics["epoch_seconds"] = round(statistics.median(self.epoch_seconds), 4)
        for name, value in trainer.callback_metrics.items():  # float32 has 7 digits, JSON no NaN
            self.metrics[name] = float(f"{value:.7g}") if value.isfinite() else None
        ckpt_path = saving.judged_by(trainer)
        self.metrics["ckpt_path"] = ckpt_path and str(ckpt_path)
        if trainer.is_global_zero:
            text = json.dumps(self.metrics, indent=2) + "\n"
            write_atomically(self.path, text.encode())


def images_in(loader: Any, batches: int) -> int | None:
    """How many images the first `batches` of a loader's have; None if it does not tell."""
    size, sampler = getattr(loader, "batch_size", None), getattr(loader, "sampler", None)
    if not isinstance(size, int) or not isinstance(sampler, Sized):
        return None
    return min(batches * size, len(sampler))


def why_ended(trainer: L.Trainer) -> str:
    """The setting, or the callback and its reason, that ended a fit which was not interrupted."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and callback.stopping_reason.value:
            said, _, _ = str(callback.stopping_reason_message).partition(" Signaling")
            return f"{type(callback).__name__}: {said}"
        if told := getattr(callback, PRUNED, None):
            return str(told)
        if isinstance(callback, Timer) and _is_up(callback):
            return "trainer.max_time"
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "trainer.fast_dev_run"
    if 0 <= trainer.max_steps <= trainer.global_step:
        return "trainer.max_steps"
    if trainer.max_epochs == trainer.current_epoch:
        return WHOLE
    return "the model or a callback asked to stop"


def _is_up(timer: Timer) -> bool:
    left = timer.time_remaining()
    return left is not None and left <= 0


def device_name(device: torch.device) -> str:
    """`cpu, 2 threads`, or a GPU with what its maker calls it."""
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    return (
        f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
    )
