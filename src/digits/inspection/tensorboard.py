"""What TensorBoard shows beside a run's scores. Shapes: N images, K classes, D features.

Tags are named so that TensorBoard, which sorts them, has test/, train/ and val/ before the rest:
views/, vs_epoch/, watch/.
"""

import math
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import text_format
from numpy.typing import NDArray
from tensorboard.compat.proto.config_pb2 import RunMetadata
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.step_stats_pb2 import StepStats
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.versions_pb2 import VersionDef
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard._proto_graph import node_proto

from digits.files import write_atomically
from digits.inspection.evidence import Evidence, Pixels
from digits.inspection.probe import Layer

LAYOUT = {
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
        "images per second": ["Multiline", [r"^watch/images_per_second$"]],
    },
}
BINS = 64
BY_EPOCH = "vs_epoch/"  # how the tags begin whose steps are epochs
MOST_CLASSES = 100  # with a precision-recall curve each
PROJECTOR = "projector"  # a folder beside the event files


def layout(writer: SummaryWriter) -> None:
    """The page CUSTOM SCALARS, with training and validation in one chart."""
    writer.add_custom_scalars(LAYOUT)


def histogram(writer: SummaryWriter, tag: str, values: Tensor, step: int) -> None:
    """Of the finite ones, if there are any. (torch's own takes 20 ms for 400,000.)"""
    values = values.detach().float().flatten()
    low, high = (float(bound) for bound in values.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
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
    _add(writer, Summary(value=[Summary.Value(tag=tag, image=picture)]), step)


def text(writer: SummaryWriter, tag: str, words: str, step: int) -> None:
    """As it stands, not as Markdown."""
    indented = "\n".join(f"    {line}" for line in words.splitlines())
    writer.add_text(tag, indented, step)


def graph(writer: SummaryWriter, layers: Mapping[str, Layer], shape: Iterable[int]) -> None:
    """The layers that were called, in boxes by their modules' names. (Torch's own traces with
    TorchScript, which is deprecated and takes 2 s.)
    """
    nodes = [node_proto("input", op="input", outputsize=list(shape))]
    for name, layer in layers.items():
        nodes.append(
            node_proto(_path(name), layer.kind, [*map(_path, layer.takes)], outputsize=layer.shape)
        )
    whole = GraphDef(node=nodes, versions=VersionDef(producer=22))
    stats = RunMetadata(step_stats=StepStats(dev_stats=[]))
    writer._get_file_writer().add_graph((whole, stats))  # type: ignore[no-untyped-call]


def _path(name: str) -> str:
    return name.replace(".", "/")


def pr_curves(
    writer: SummaryWriter, evidence: Evidence, probabilities_NK: NDArray[np.float32], step: int
) -> None:
    for label in range(min(probabilities_NK.shape[1], MOST_CLASSES)):
        tag = f"class/{evidence.name(label)}"
        is_it_N = evidence.labels_N == label
        writer.add_pr_curve(tag, is_it_N, probabilities_NK[:, label], step)


def projector(
    logdir: Path, hidden_ND: Tensor, columns: Mapping[str, Iterable[object]], shown: Pixels | None
) -> None:
    """What the last layer sees of each image, with `columns` to colour by and its picture."""
    config = ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="hidden layer", metadata_path=f"{PROJECTOR}/labels.tsv"
    )
    embedding.tensor_path = f"{PROJECTOR}/hidden.bytes"
    embedding.tensor_shape.extend(hidden_ND.shape)
    numbers = hidden_ND.detach().float().cpu().numpy().astype("<f4")
    files = {"hidden.bytes": _not_text(numbers), "labels.tsv": _table(columns).encode()}
    if shown is not None:
        height, width = shown.shape[1:3]
        embedding.sprite.image_path = f"{PROJECTOR}/sprite.png"
        embedding.sprite.single_image_dim.extend([width, height])
        files["sprite.png"] = _sprite(shown)
    for name, content in files.items():
        write_atomically(logdir / PROJECTOR / name, content)
    told = text_format.MessageToString(config).encode()
    write_atomically(logdir / "projector_config.pbtxt", told)


def _not_text(numbers_ND: NDArray[np.float32]) -> bytes:
    """TensorBoard reads as binary numbers what isn't text: so the first one is none."""
    raw = bytearray(numbers_ND.tobytes())
    raw[0] = 0xFF  # of the mantissa's last bits: changes the number by less than 0.01 %
    return bytes(raw)


def _table(columns: Mapping[str, Iterable[object]]) -> str:
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    lines = ("\t".join(" ".join(str(cell).split()) for cell in row) for row in rows)
    return "\n".join(lines) + "\n"


def _sprite(shown: Pixels) -> bytes:
    """All in a square, dark on white."""
    from PIL import Image

    columns = math.isqrt(len(shown) - 1) + 1
    height, width, *colours = shown.shape[1:]
    square = np.zeros((columns * columns, height, width, *colours), np.uint8)
    square[: len(shown)] = shown if colours else 255 - shown
    rows = square.reshape(columns, columns, height, width, *colours).swapaxes(1, 2)
    file = BytesIO()
    picture = Image.fromarray(rows.reshape(columns * height, columns * width, *colours))
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _add(writer: SummaryWriter, summary: Any, step: int) -> None:
    writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]
