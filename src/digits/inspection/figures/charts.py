"""Figures of scores, by matplotlib. G bins."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from digits.inspection.statistics import Reliability
from digits.text import flat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Mapping[float, float]  # scores by epoch, from 1
Curves = Mapping[str, Curve]  # by what each is called

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
QUIET = "#5a6472"
LONGEST = 100  # characters of a text


def curves(panels: Mapping[str, Curves], title: str) -> "Figure":
    """Side by side, a panel for each score: its curves by epoch, named in a legend if there
    are several, and not more than there are colours.
    """
    from matplotlib.figure import Figure  # 0.3 s
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.4 * max(1, len(panels)), 3.3))
    for place, (name, lines) in enumerate(panels.items()):
        axis = _panel(figure, place, len(panels))
        for colour, (label, curve) in zip(_repeated(len(lines)), lines.items(), strict=True):
            epochs, values = list(curve), list(curve.values())
            few = len(epochs) <= 30
            axis.plot(
                epochs, values, color=colour, marker="." if few else "", label=words(label), lw=1.5
            )
        alone = f"{next(iter(lines))} " if len(lines) == 1 else ""
        axis.set_title(words(alone + name), size=10, loc="left")
        axis.set_xlabel("epoch", size=9, color=QUIET)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if 1 < len(lines) <= len(COLOURS):
            axis.legend(frameon=False, fontsize=8)
    figure.text(0.5, 0.95, words(title), ha="center", va="center", size=11)
    return figure


def calibration(bins: Reliability, title: str) -> "Figure":
    """A reliability diagram: a perfectly calibrated classifier's bars end at the line. Below it,
    how many images are in each bin.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 4.4))
    axis, below = (
        figure.add_axes((0.14, 0.32, 0.82, 0.58)),
        figure.add_axes((0.14, 0.12, 0.82, 0.15)),
    )
    count = len(bins.count_G)
    centres = (np.arange(count) + 0.5) / count
    axis.bar(centres, bins.accuracy_G, 0.92 / count, color=COLOURS[0])
    axis.plot([0, 1], [0, 1], color=COLOURS[1], lw=1.2)
    axis.set_ylabel("accuracy", size=9, color=QUIET)
    axis.set_ylim(0, 1.02)
    below.bar(centres, np.log10(bins.count_G + 1), 0.92 / count, color=QUIET)
    powers = range(len(str(int(bins.count_G.max()))))
    below.set_yticks(np.log10([10**power + 1 for power in powers]), [str(10**p) for p in powers])
    below.set_ylabel("images", size=9, color=QUIET)
    below.set_xlabel("confidence", size=9, color=QUIET)
    for each in (axis, below):
        _plain(each)
        each.set_xlim(0, 1)
    figure.text(0.5, 0.95, words(title), ha="center", va="center", size=11)
    return figure


def _panel(figure: "Figure", place: int, count: int) -> "Axes":
    width = 1 / count
    axis = figure.add_axes((place * width + 0.12 * width, 0.14, 0.82 * width, 0.66))
    _plain(axis)
    axis.grid(axis="y", color="#e3e6ea", lw=0.7)
    return axis


def _plain(axis: "Axes") -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, colors=QUIET, length=3)


def _repeated(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]


def words(text: str) -> str:
    """On one line, and as it stands: for matplotlib, what is between dollars is mathematics."""
    return flat(text)[:LONGEST].replace("$", r"\$")
