"""Figures, drawn without pyplot (no global state, no display)."""

from matplotlib.figure import Figure
from torch import Tensor


def samples(images_NHW: Tensor, labels_N: Tensor, columns: int = 8) -> Figure:
    """A grid of digits as the reference plots them: `cm.binary`, so that 0 is white paper and 255
    black ink.
    """
    rows = -(-len(labels_N) // columns)
    figure = Figure(figsize=(columns * 0.9, rows * 1.1), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis in axes:
        axis.axis("off")
    for axis, image_HW, label in zip(axes, images_NHW.cpu(), labels_N.tolist(), strict=False):
        axis.imshow(image_HW.numpy(), cmap="binary", vmin=0, vmax=255)
        axis.set_title(label, fontsize=10, pad=2)
    return figure
