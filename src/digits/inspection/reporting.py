"""What a run's test, or its best validation, shows: figures, evidence and a report in its folder,
and TensorBoard's pictures.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data.datamodule import ImageDataModule
from digits.errors import InputError
from digits.files import write_atomically
from digits.inspection import drawn, evidence, gathering, page, probe, report, tensorboard
from digits.inspection.evidence import Evidence
from digits.inspection.figures import tiles
from digits.inspection.listening import Gatherer, pictures
from digits.inspection.writers import writers
from digits.runs.folder import RunFolder
from digits.runs.status import FINISHED

log = logging.getLogger(__name__)

PROJECTED = 2000  # test images


class SampleFigure(Callback):
    """Draws the first training digits, as the reference program plots one, into `path` (PNG), after
    the first epoch, which need not wait for it.
    """

    def __init__(self, path: str, count: int = gathering.SAMPLES) -> None:
        self.path, self.count = Path(path), count
        self.is_drawn = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.is_drawn:
            self.is_drawn = True
            self._draw(trainer)

    def _draw(self, trainer: L.Trainer) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not (trainer.is_global_zero and isinstance(data, ImageDataModule) and data.train):
            return
        names = gathering.names(data, int(data.train[1].max()) + 1)
        shown = pictures(data.train[0][: self.count])
        assert shown is not None
        labels = [names[label] for label in data.train[1][: self.count].tolist()]
        png = drawn.png(tiles.samples(shown, labels))
        write_atomically(self.path, png)
        for writer in writers(trainer):
            tensorboard.image(writer, f"views/{drawn.SAMPLES}", png, trainer.global_step - 1)


class Report(Callback):
    """Gathers what a classifier says of the test images or, if `test` says that no test follows, of
    the validation images in the epoch with the best accuracy. Draws it into `output_dir`.

    A classifier is a model whose `forward` gives logits (B, K) for the images of a batch (x, y);
    for any other there are scores alone. `charts` adds those that matplotlib draws, in a second:
    curves and calibration, which report.py adds at any time.
    """

    def __init__(self, output_dir: str, test: bool = True, charts: bool = False) -> None:
        self.run, self.test, self.charts = RunFolder(output_dir), test, charts
        self.gatherer: Gatherer | None = None
        self.projected: list[tuple[Tensor, Tensor]] = []
        self.best_accuracy = -1.0

    def state_dict(self) -> dict[str, Any]:
        return {"best_accuracy": self.best_accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_accuracy = float(state_dict["best_accuracy"])

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not (self.test or trainer.sanity_checking):
            self._begin(pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(pl_module)

    def _begin(self, module: nn.Module) -> None:
        self.close()
        self.gatherer, self.projected = Gatherer(module), []

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
        batch_idx: int, dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        if self.gatherer and not dataloader_idx:
            self.gatherer.add(batch)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any,
        batch_idx: int, dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        if self.gatherer and not dataloader_idx and self.gatherer.add(batch):
            left = PROJECTED - sum(len(labels) for _, labels in self.projected)
            if left > 0 and isinstance(batch[0], Tensor):
                self.projected.append((batch[0][:left], batch[1][:left]))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        gathered = self._gathered(trainer, "val", pl_module)
        if gathered is None:
            return
        found, _ = gathered
        if found.correct / found.count > self.best_accuracy:
            self.best_accuracy = found.correct / found.count
            evidence.write(self.run.evidence, found)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.test or not trainer.is_global_zero:
            return
        try:
            found = evidence.read(self.run.evidence)
        except InputError:  # damaged since: it is written anew
            found = None
        self._show(trainer, found)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        gathered = self._gathered(trainer, "test", pl_module)
        if not trainer.is_global_zero:
            return
        if gathered is None:
            self._show(trainer, None)
            return
        found, probabilities_NK = gathered
        evidence.write(self.run.evidence, found)
        for writer in writers(trainer):
            if probabilities_NK.size <= gathering.MOST_SCORES:
                tensorboard.pr_curves(writer, found, probabilities_NK, trainer.global_step)
            self._project(trainer, pl_module, Path(writer.log_dir), found)
        self._show(trainer, found)

    def on_exception(self, trainer: L.Trainer, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        if self.gatherer:
            self.gatherer.close()
            self.gatherer = None

    def _gathered(
        self, trainer: L.Trainer, stage: str, module: nn.Module
    ) -> tuple[Evidence, NDArray[np.float32]] | None:
        gatherer = self.gatherer
        self.close()
        if gatherer is None:
            return None
        data = trainer.datamodule  # type: ignore[attr-defined]
        return gathering.evidence(gatherer, stage, module, data)

    def _show(self, trainer: L.Trainer, found: Evidence | None) -> None:
        for logger in trainer.loggers:
            logger.save()  # the curves are read from metrics.csv
        findings = report.with_evidence(self.run.path, found)
        figures = list(report.charts(findings)) if self.charts else []
        figures += report.pictures(findings)
        for figure in figures:
            if figure.name != drawn.SAMPLES:  # SampleFigure's
                write_atomically(self.run.figures / f"{figure.name}.png", figure.png)
                for writer in writers(trainer):
                    tag = f"views/{figure.name}"
                    tensorboard.image(writer, tag, figure.png, trainer.global_step)
        page.write(report.of(findings, figures, FINISHED), self.run.report)

    def _project(
        self, trainer: L.Trainer, module: nn.Module, logdir: Path, found: Evidence
    ) -> None:
        """The first test images of this process, as the last layer sees them."""
        if not isinstance(trainer.strategy, DDPStrategy) and trainer.world_size > 1:
            return  # a process has a part of the weights
        if not self.projected:
            return
        x_N, labels_N = (torch.cat(parts) for parts in zip(*self.projected, strict=True))
        with trainer.precision_plugin.forward_context():
            hidden_ND = probe.look(module, x_N).hidden_BD
        if hidden_ND is None:
            log.debug("no projector: no linear layer comes last")
            return
        places = slice(None, len(labels_N) * trainer.world_size, trainer.world_size)
        columns: Mapping[str, Any] = {
            "label": [found.name(label) for label in labels_N.tolist()],
            "predicted": [found.name(label) for label in found.predicted_N[places]],
            "probability": [f"{value:.4f}" for value in found.confidence_N[places]],
            "right": ["yes" if right else "no" for right in found.is_right_N[places]],
        }
        tensorboard.projector(logdir, hidden_ND, columns, pictures(x_N))
