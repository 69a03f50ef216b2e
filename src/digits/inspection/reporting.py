"""What a run's test, or its best validation, shows: figures, evidence and a report in its folder,
and TensorBoard's pictures.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.model_helpers import is_overridden

from digits.files import write_atomically
from digits.inspection import evidence, figures, gathering, report, statistics, tensorboard, watch
from digits.inspection.evidence import Evidence
from digits.inspection.looks import only_looks, random_kept
from digits.inspection.tensorboard import writers
from digits.runs.folder import RunFolder
from digits.runs.monitors import by_common_names
from digits.runs.status import FINISHED, Status

log = logging.getLogger(__name__)

ACCURACY_GAP = 0.001
MOST_CLASSES = 100  # whose scores are kept beside the others


class SampleFigure(Callback):
    """Draws the first training digits, as the reference program plots one, into `path` (PNG), after
    the first epoch, which need not wait for it.
    """

    def __init__(self, path: str, count: int = gathering.SAMPLES) -> None:
        self.path, self.count = Path(path), count
        self.is_drawn = False

    @only_looks
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if self.is_drawn or not trainer.is_global_zero:
            return
        self.is_drawn = True
        shown_SHW, labels_S = gathering.samples(data, self.count)
        if not len(labels_S):
            return
        names = gathering.names(data, int(labels_S.max()) + 1)
        png = figures.png(figures.samples(shown_SHW, names[labels_S].tolist()))
        write_atomically(self.path, png)
        for writer in writers(trainer):
            tensorboard.image(writer, f"views/{figures.SAMPLES}", png, trainer.global_step - 1)


def untested(model: L.LightningModule | None, data: L.LightningDataModule | None) -> str | None:
    """Return what is missing for a test, if anything is."""
    if model and not is_overridden("test_step", model):
        return f"{type(model).__name__} has no test_step"
    if data and not is_overridden("test_dataloader", data, L.LightningDataModule):
        return f"{type(data).__name__} has no test_dataloader"
    return None


class Report(Callback):
    """Gathers what a classifier says of the test images or, if `test` says that no test follows, of
    the validation images in the epoch with the best accuracy. Draws it into `output_dir`.

    A classifier is a model whose `forward` gives logits (B, K) for the images of a batch (x, y);
    for any other there are scores alone. `projector` has TensorBoard show what the last layer sees.
    """

    def __init__(self, output_dir: str, test: bool = True, projector: bool = False) -> None:
        self.run, self.test, self.projector = RunFolder(output_dir), test, projector
        self.found: Evidence | None = None
        self.best_accuracy = -1.0
        self.is_classifier = True  # as far as is known

    def state_dict(self) -> dict[str, Any]:
        return {"best_accuracy": self.best_accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_accuracy = float(state_dict["best_accuracy"])

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.test = self.test and not untested(pl_module, trainer.datamodule)  # type: ignore[attr-defined]

    @only_looks
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.test or trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        told = by_common_names(trainer.callback_metrics).get("val/acc")
        is_better = told is None or float(told) > self.best_accuracy
        may_be_best = self.is_classifier and is_better
        if not trainer.strategy.broadcast(may_be_best):  # the first process knows the best
            return
        found = gathering.evidence(trainer, pl_module, "val")
        self.is_classifier = found is not None or not trainer.is_global_zero
        if found is not None and found.accuracy > self.best_accuracy:
            self.best_accuracy = found.accuracy
            trainer.callback_metrics.update(by_class(found))
            evidence.write(self.run.evidence, found)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.test and trainer.is_global_zero:
            self._show(trainer)

    @only_looks
    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Before metrics.json is written."""
        self.found = gathering.evidence(trainer, pl_module, "test")
        if self.found is not None:
            trainer.callback_metrics.update(by_class(self.found))

    @only_looks
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        if self.found is not None:
            self._compare(trainer, self.found)
            evidence.write(self.run.evidence, self.found)
            for writer in writers(trainer):
                tensorboard.pr_curves(writer, self.found, trainer.global_step)
            if self.projector and any(True for _ in writers(trainer)):
                self._project(trainer, pl_module, self.found)
        self._show(trainer)

    def _compare(self, trainer: L.Trainer, found: Evidence) -> None:
        told = by_common_names(trainer.callback_metrics).get("test/acc")
        if told is not None and abs(float(told) - found.accuracy) > ACCURACY_GAP:
            log.warning(
                "test/acc is %.4f, but what forward answers is right for %.4f of the same images: "
                "evidence, figures and report are of the latter", told, found.accuracy,
            )  # fmt: skip

    @only_looks
    def _show(self, trainer: L.Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()  # the curves are read from metrics.csv
        findings = report.read(self.run.path)
        findings = replace(findings, run=replace(findings.run, status=Status(FINISHED)))
        page = report.write(findings, self.run.report, self.run.figures)
        for name, png in page.figures.items():
            for writer in writers(trainer) if name != figures.SAMPLES else ():  # SampleFigure's
                tensorboard.image(writer, f"views/{name}", png, trainer.global_step)

    @only_looks
    def _project(self, trainer: L.Trainer, module: L.LightningModule, found: Evidence) -> None:
        """The first process's first batch, as the last layer sees it."""
        with random_kept():
            x_N = next(gathering.batches(trainer, "test"))[0]
        with trainer.precision_plugin.forward_context():
            seen = watch.look(module, x_N)
        hidden = [given for layer, given, _ in seen.values() if isinstance(layer, torch.nn.Linear)]
        if not hidden or hidden[0].ndim != 2:
            log.info("no projector: no linear layer comes last")
            return
        places = slice(None, len(x_N) * trainer.world_size, trainer.world_size)
        columns = {
            "label": [found.name(label) for label in found.labels_N[places]],
            "predicted": [found.name(label) for label in found.predicted_N[places]],
            "probability": [f"{value:.4f}" for value in found.confidence_N[places]],
            "right": ["yes" if right else "no" for right in found.is_right_N[places]],
        }
        shown = gathering.pictures(x_N)
        tensorboard.projector(self.run.tensorboard / "projector", hidden[0], columns, shown)


def by_class(found: Evidence) -> dict[str, torch.Tensor]:
    """Precision, recall and F1 of each class, for metrics.json."""
    if len(found.names_K) > MOST_CLASSES:
        return {}
    scores_KS = statistics.by_class(found.counts_KK)
    return {
        f"{report.BY_CLASS}{found.name(label)}/{name}": torch.tensor(score)
        for label, scores in enumerate(scores_KS.tolist())
        for name, score in zip(("precision", "recall", "f1"), scores, strict=True)
        if score == score
    }
