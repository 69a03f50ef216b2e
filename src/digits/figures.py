"""Figures, drawn without pyplot (no global state, no display)."""

from matplotlib.figure import Figure
from torch import Tensor


def samples(images_NHW: Tensor, labels_N: Tensor, columns: int = 8) -> Figure:
    """A grid of digits as the reference plots them: `cm.binary`, 0 white and 255 black."""
    rows = -(-len(labels_N) // columns)
    figure = Figure(figsize=(columns * 0.9, rows * 1.1), layout="constrained")
    for place, (image_HW, label) in enumerate(zip(images_NHW.cpu(), labels_N, strict=True), 1):
        axis = figure.add_subplot(rows, columns, place, title=int(label))
        axis.imshow(image_HW.numpy(), cmap="binary", vmin=0, vmax=255)
        axis.axis("off")
    return figure
