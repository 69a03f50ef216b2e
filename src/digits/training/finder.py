"""Which learning rate suits: a test before the fit, which leaves the fit as it was."""

import copy
import io
import logging
import math
import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.tuner.tuning import Tuner

from digits.files import relative, write_atomically
from digits.inspection import figures
from digits.inspection.looks import only_looks, random_kept
from digits.training.saving import AtomicCheckpointIO

log = logging.getLogger(__name__)

UNSETTLED = 10  # steps at first, whose mean loss tells of the first alone
OFF = ("logger", "enable_progress_bar", "enable_model_summary", "num_sanity_val_steps")


class LearningRates(L.Callback):
    """Suggests a learning rate: a copy of the model takes `steps` steps, each with a higher rate,
    from `low` to `high`, and the loss falls fastest at the rate to take (L. N. Smith, arXiv
    1506.01186, section 3.3). Draws the losses into `path` (PNG).
    """

    def __init__(self, path: str, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> None:
        self.path, self.low, self.high, self.steps = Path(path), low, high, steps

    @only_looks
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.ckpt_path or trainer.world_size > 1:
            return
        losses = self._losses(trainer, pl_module)
        falls = np.gradient([*losses.values()])  # by the logarithm of the rate
        rate = [*losses][int(falls.argmin())]
        write_atomically(self.path, figures.png(figures.by_rate(losses, rate)))
        own = [name for name in ("lr", "learning_rate") if name in pl_module.hparams]
        setting = f"model.{own[0]}" if own else "model.optimizer.lr"
        log.info(
            "the loss falls fastest at %s=%.2g, see %s; this run keeps its own",
            setting, rate, relative(self.path),
        )  # fmt: skip

    def _losses(self, trainer: L.Trainer, module: L.LightningModule) -> dict[float, float]:
        """Return the mean loss so far by rate."""
        data = copy.copy(trainer.datamodule)  # type: ignore[attr-defined]
        data.trainer = module.trainer = None
        vars(data).pop("train_dataloader", None)  # replay's belongs to `trainer`
        try:
            model = copy.deepcopy(module)
        finally:
            module.trainer = trainer
        device = trainer.strategy.root_device.type
        options: Any = dict.fromkeys(OFF, False) | {"max_epochs": self.steps, "devices": 1}
        options |= {"accelerator": "gpu" if device == "cuda" else device}
        quiet = nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
        folder = TemporaryDirectory(dir=trainer.default_root_dir)
        with folder as root_dir, random_kept(), quiet:  # Lightning's bar is for a terminal
            other = L.Trainer(
                **options, precision=trainer.precision, plugins=AtomicCheckpointIO(),
                default_root_dir=root_dir, gradient_clip_val=trainer.gradient_clip_val,
                check_val_every_n_epoch=self.steps + 1,
            )  # fmt: skip
            rates: Any = {"min_lr": self.low, "max_lr": self.high, "num_training": self.steps}
            found = Tuner(other).lr_find(model, datamodule=data, update_attr=False, **rates)
        assert found
        losses = zip(found.results["lr"], found.results["loss"], strict=True)
        return {rate: loss for rate, loss in [*losses][UNSETTLED:] if math.isfinite(loss)}
