"""Axes that several studies draw on: dots are seeds, a line joins their means."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.study import Row, means

# Okabe and Ito
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
QUIET = "#5a6472"
PERCENT = (1, 1.5, 2, 3, 5, 8, 12, 20)


def sheet(width: float = 7, height: float = 4.2) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def line(axes: Axes, points: Sequence[tuple[float, float]], colour: str, label: str = "") -> None:
    """By x the mean of y with its standard deviation, and a dot for each seed."""
    table = means([{"x": x, "y": y} for x, y in points], ["x"])
    x, y, spread = ([row[name] for row in table] for name in ("x", "y", "y sd"))
    axes.errorbar(x, y, spread, color=colour, capsize=3, label=label)
    axes.plot(*zip(*points, strict=True), ".", color=colour, alpha=0.6, markeredgewidth=0)


def titled(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e6ea")
    axes.set_axisbelow(True)


def errors(rows: Sequence[Row], x: str, accuracy: str) -> Figure:
    """The share of errors by `x`, both on a logarithmic scale."""
    points = [(row[x], 100 * (1 - row[accuracy])) for row in rows]
    figure = sheet()
    axes = figure.subplots()
    line(axes, points, COLOURS[0])
    axes.set(xscale="log", yscale="log")
    at, each = sorted({across for across, _ in points}), [up for _, up in points]
    axes.set_xticks(at, [f"{place:,.0f}" for place in at])
    percent = [tick for tick in PERCENT if 0.9 * min(each) < tick < 1.1 * max(each)]
    axes.set_yticks(percent, [f"{tick:g}" for tick in percent])
    axes.minorticks_off()
    titled(axes, "", x, f"errors on the {accuracy.removesuffix(' accuracy')} images, %")
    return figure
