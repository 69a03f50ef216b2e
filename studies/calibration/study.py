"""How often each recipe is right when it says so, before and after temperature."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from digits.data.batches import split
from digits.inspection.statistics import Floats, Ints, Reliability, reliability
from digits.prediction import confidence, loading
from studies.calibration.scores import brier, temperature
from studies.figures import COLOURS, QUIET, sheet, titled
from studies.study import LEAN, RECIPES, SEED, Jobs, Row, Study, images

HELD_OUT = 5000
BINS = 15
BEFORE, AFTER = "", " tempered"
LEAST = 10  # images in a bin that is drawn, of all seeds


def measure(jobs: Jobs, _: Path) -> list[Row]:
    (train_NHW, train_N), (test_NHW, test_N) = images("train"), images("test")
    held_out = split(len(train_N), range(HELD_OUT))[0].numpy()
    rows = []
    for job in jobs[""]:
        network = loading.from_file(str(job.run.last)).network
        p_NK = network(test_NHW)
        t = temperature(network(train_NHW[held_out]), train_N[held_out])
        row: Row = {"recipe": job.words["experiment"], SEED: job.words[SEED], "temperature": t}
        row |= scored(BEFORE, p_NK, test_N)
        row |= scored(AFTER, confidence.tempered(p_NK, t), test_N)
        rows.append(row)
    return rows


def scored(when: str, p_NK: Floats, y_N: Ints) -> Row:
    sure_N, is_right_N = p_NK.max(1), p_NK.argmax(1) == y_N
    bins = reliability(sure_N, is_right_N, BINS)
    return {f"ECE{when}": bins.error, f"Brier{when}": brier(p_NK, y_N), f"_{when}": bins}


def draw(rows: list[Row]) -> Figure:
    """The bins of all seeds together."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    figure = sheet(3.2 * len(recipes), 3.6)
    panels = figure.subplots(1, len(recipes), squeeze=False)[0]
    for axes, recipe in zip(panels, recipes, strict=True):
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1)
        its = [row for row in rows if row["recipe"] == recipe]
        for when, colour in ((BEFORE, COLOURS[1]), (AFTER, COLOURS[0])):
            error = fmean(row[f"ECE{when}"] for row in its)
            label = f"{when.strip() or 'as it is'}: ECE {error:.4f}"
            axes.plot(*bars([row[f"_{when}"] for row in its]), "o-", color=colour, label=label)
        titled(axes, recipe, "confidence", "accuracy" if recipe == recipes[0] else "")
        axes.legend(frameon=False, fontsize=9)
    return figure


def bars(each: Sequence[Reliability]) -> tuple[Floats, Floats]:
    """Return the middles of the bins that have enough images, and their accuracies."""
    count_G = np.sum([bins.count_G for bins in each], 0)
    right_G = np.sum([bins.count_G * bins.accuracy_G for bins in each], 0)
    many = count_G >= LEAST
    return ((np.arange(BINS) + 0.5) / BINS)[many], right_G[many] / count_G[many]


STUDY = Study(
    words=(f"experiment={','.join(RECIPES)}", f"data.val_size={HELD_OUT}", "test=false",
           "seed=range(2)", "callbacks.best=null", *LEAN),
    by=["recipe"],
    measure=measure,
    draw=draw,
)  # fmt: skip
