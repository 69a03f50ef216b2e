"""What TensorBoard shows beside a run's scores.

Tags are named so that TensorBoard, which sorts them, has test/, train/ and val/ before the rest:
views/, vs_epoch/, watch/.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from digits.inspection.evidence import Evidence, Pixels
from digits.text import flat

LAYOUT = {  # of the page CUSTOM SCALARS, with training and validation in one chart
    "train and val": {
        "loss": ["Multiline", [r"^train/loss$", r"^val/loss$"]],
        "accuracy": ["Multiline", [r"^train/acc$", r"^val/acc$"]],
    },
    "by epoch": {
        "loss": ["Multiline", [r"^vs_epoch/(train|val)_loss$"]],
        "accuracy": ["Multiline", [r"^vs_epoch/(train|val)_acc$"]],
    },
    "training": {
        "learning rate": ["Multiline", [r"^watch/lr"]],
        "norms": ["Multiline", [r"^watch/(gradient|weight)_norm$"]],
    },
}
BINS = 64
BY_EPOCH = "vs_epoch/"  # how the tags begin whose steps are epochs
MOST_CLASSES = 100  # with a precision-recall curve each


def writers(trainer: Trainer) -> Iterator[SummaryWriter]:
    """Of the first process; none where nothing is logged."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            yield logger.experiment


def by_epoch(writer: SummaryWriter, trainer: Trainer, with_validation: bool) -> None:
    """The epoch's scores, whose step is its number, from 1."""
    stages = ("train", "val") if with_validation else ("train",)
    for name, value in trainer.callback_metrics.items():
        is_score = name.startswith(stages) and not name.endswith(("_step", "_best"))
        if is_score and value.isfinite():
            tag = f"{BY_EPOCH}{name.replace('/', '_')}"
            writer.add_scalar(tag, value.item(), trainer.current_epoch + 1)


def histogram(writer: SummaryWriter, tag: str, values: Tensor, step: int) -> None:
    """Of the finite ones, if there are any. (torch's own takes 20 ms for 400,000.)"""
    values = values.detach().float().flatten()
    if not values.sum().isfinite():
        values = values[values.isfinite()]
    if not len(values):
        return
    low, high = (float(bound) for bound in values.aminmax())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values, BINS, low, high).cpu()
    limits = np.linspace(low, high, BINS + 1)[1:]
    writer.add_histogram_raw(
        tag, low, high, len(values), float(values.sum()), float(values.square().sum()),
        limits.tolist(), counts.tolist(), step,
    )  # fmt: skip


def image(writer: SummaryWriter, tag: str, png: bytes, step: int) -> None:
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    summary = Summary(value=[Summary.Value(tag=tag, image=picture)])
    writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]


def text(writer: SummaryWriter, tag: str, words: str, step: int) -> None:
    """As it stands, not as Markdown."""
    indented = "\n".join(f"    {line}" for line in words.splitlines())
    writer.add_text(tag, indented, step)


def pr_curves(writer: SummaryWriter, evidence: Evidence, step: int) -> None:
    for label in range(min(evidence.probabilities_NP.shape[1], MOST_CLASSES)):
        tag = f"class/{evidence.name(label)}"
        is_it_N = evidence.labels_N == label
        writer.add_pr_curve(tag, is_it_N, evidence.probabilities_NP[:, label], step)


def projector(
    logdir: Path, hidden_ND: Tensor, columns: Mapping[str, Sequence[str]], shown: Pixels | None
) -> None:
    """What the last layer sees of each image, with `columns` to colour by and its picture."""
    pictures = None
    if shown is not None:
        coloured = shown if shown.ndim == 4 else np.repeat(255 - shown[..., None], 3, 3)
        pictures = torch.from_numpy(coloured).movedim(3, 1) / 255
    rows = [[flat(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
    shutil.rmtree(logdir, ignore_errors=True)  # an earlier test's
    with SummaryWriter(str(logdir)) as writer:
        writer.add_embedding(
            hidden_ND.float(), rows, pictures, tag="hidden layer", metadata_header=list(columns)
        )
