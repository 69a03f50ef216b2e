"""The bar chart and the growth curves of docs/speed.md, and the ratios of medians."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

REPORTED = ("fit_seconds", "epoch_seconds", "test_accuracy")
OURS = "ours"
BLUE, GREY = "#1f6feb", "#9aa4b0"


def median(runs: list[dict[str, Any]], name: str) -> float:
    """Of one reported number over runs; of epochs, those after the first, which compiles."""
    values = [run["report"][name] for run in runs]
    each = [statistics.median(v[1:] or v) if isinstance(v, list) else v for v in values]
    return float(statistics.median(each))


def process(runs: list[dict[str, Any]]) -> float:
    return float(statistics.median(run["seconds"] for run in runs))


def ratios(whole: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A line for each target of docs/speed.md that whole processes are enough for."""
    mine, bare, jax = whole[OURS], whole["bare PyTorch loop"], whole["JAX, lax.scan"]
    peak = [statistics.median(run["peak_mib"] for run in runs) for runs in (mine, bare)]
    found = {
        "fit / bare PyTorch loop": median(mine, "fit_seconds") / median(bare, "fit_seconds"),
        "steady epoch / JAX": median(mine, "epoch_seconds") / median(jax, "epoch_seconds"),
        **{
            f"process / {name}": process(mine) / process(whole[name])
            for name in ("stock Lightning", "Keras, TensorFlow", "bare PyTorch loop")
        },
        "peak memory / bare PyTorch loop": peak[0] / peak[1],
    }
    return [f"{name:<36} {ratio:.2f}" for name, ratio in found.items()]


def draw(results: dict[str, Any], path: Path) -> None:
    """Writes `path`, and beside it the growth curves."""
    if "processes" in results:
        _bars(results["processes"], path)
    if "growth" in results:
        _curves(results["growth"], path.with_name("speed-growth.png"))


def _bars(whole: dict[str, list[dict[str, Any]]], path: Path) -> None:
    names = [name for name, runs in whole.items() if "fit_seconds" in runs[0]["report"]]
    names.sort(key=lambda name: process(whole[name]), reverse=True)
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(names) + 1), layout="constrained")
    for row, name in enumerate(names):
        colour = BLUE if name == OURS else GREY
        total, fit = process(whole[name]), median(whole[name], "fit_seconds")
        axes.barh(row, total, color=colour, alpha=0.45)
        axes.barh(row, fit, color=colour)
        axes.text(total, row, f" {total:.1f} s, of it fit {fit:.1f} s", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.3 * max(process(whole[name]) for name in names))
    axes.set_xlabel("seconds of a whole 5-epoch run; dark: the fit (median)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _curves(grown: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    figure, panels = plt.subplots(1, len(grown), figsize=(11, 3.4), layout="constrained")
    for axes, (what, lines) in zip(panels, grown.items(), strict=True):
        for name, points in lines.items():
            values, seconds = zip(*points, strict=True)
            width = 2.5 if name == OURS else 1.2
            axes.loglog(values, seconds, "o-", label=name, linewidth=width, markersize=3)
        axes.set_xlabel(
            {"batch": "batch size, one epoch", "images": "images, one epoch"}.get(what, what)
        )
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("seconds of the fit")
    panels[0].legend(fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)
