"""Fits of a second in this process: with all that makes a run exact, and without Hydra."""

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig

from digits import signals
from digits.data.datamodule import MNISTDataModule
from digits.model.classifier import DigitClassifier
from digits.model.rmsprop import RMSprop
from digits.runs.folder import LAST
from digits.runs.start import Start
from digits.training import replay, step
from digits.training.exact_state import ExactState
from digits.training.logs import CSVLogger
from digits.training.pauses import Pauses
from digits.training.saving import AtomicCheckpointIO, LastCheckpoint
from digits.training.scores import BestScores, Scored
from digits.training.trainer import quieten_lightning

RMSPROP = partial(RMSprop, lr=1e-3, alpha=0.9, eps=1e-7)


class Drawn(MNISTDataModule):
    """Images that are noise: ten batches of eight an epoch, eight images to validate on."""

    count = 80

    def prepare_data(self) -> None: ...

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = self.count, 28, 28
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (self.count,), generator=generator)
        self.train, self.val = (images, labels), (images[:8], labels[:8])


def drawn() -> Drawn:
    return Drawn(batch_size=8, val_size=8)


def reference(optimizer: Any = RMSPROP, **settings: Any) -> DigitClassifier:
    torch.manual_seed(0)
    return DigitClassifier(4, optimizer, **settings)


def fit(
    folder: Path,
    model: L.LightningModule,
    data: L.LightningDataModule | None = None,
    callbacks: Sequence[L.Callback] = (),
    ckpt_path: Path | None = None,
    settings: Any = {},  # noqa: B006
    every: float = 1e9,
    own_loop: bool = False,
    **trainer: Any,
) -> L.Trainer:
    """Two epochs, last.ckpt and metrics.csv in `folder`; or the rest of them. With Lightning's
    `own_loop` and loaders, or with ours.
    """
    quieten_lightning()
    defaults: dict[str, Any] = {
        "accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
    }  # fmt: skip
    last = LastCheckpoint(str(folder), train_time_interval=every)
    logger = CSVLogger(folder, name="", version="")
    if ckpt_path:
        content = torch.load(ckpt_path, weights_only=True)
        logger.go_on_from(Start(content=content).logged, 0)
    made = L.Trainer(
        logger=logger,
        callbacks=[BestScores(), last, *callbacks, ExactState(settings), Pauses(), Scored()],
        plugins=AtomicCheckpointIO(),
        enable_model_summary=False,
        use_distributed_sampler=False,
        **defaults | trainer,
    )
    data = data or drawn()
    if not own_loop:
        step.install(made)
        replay.from_there(data, made, DictConfig(trainer))
    path = str(ckpt_path) if ckpt_path else None
    with signals.after_the_step():
        made.fit(model, data, ckpt_path=path, weights_only=True)
    return made


def state(folder: Path) -> dict[str, Any]:
    content = torch.load(folder / LAST, weights_only=True)
    assert isinstance(content, dict)
    return content


def rows(folder: Path) -> list[dict[str, str]]:
    """What metrics.csv has, but for empty cells."""
    table = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if value} for row in table]
