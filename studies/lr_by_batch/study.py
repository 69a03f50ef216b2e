"""Which learning rate of RMSprop suits which batch size."""

import numpy as np
from matplotlib.figure import Figure

from studies.figures import sheet, titled
from studies.study import WITHOUT_CHECKPOINTS, Row, Study, means, scores

RATES = ("1e-4", "3e-4", "1e-3", "3e-3", "1e-2")
BATCHES = (32, 64, 128, 256, 512, 1024)
BY = ["batch size", "learning rate"]


def draw(rows: list[Row]) -> Figure:
    table = means(rows, BY)
    rates, batches = (sorted({row[name] for row in table}) for name in reversed(BY))
    error_BR = np.full((len(batches), len(rates)), np.nan)
    for row in table:
        place = batches.index(row[BY[0]]), rates.index(row[BY[1]])
        error_BR[place] = 100 * (1 - row["validation accuracy"])
    figure = sheet()
    axes = figure.subplots()
    # a logarithmic scale: the differences that matter are among the best
    picture = axes.imshow(np.log(error_BR), cmap="viridis_r", aspect="auto", origin="lower")
    middle = np.nanmean(picture.get_clim())
    for (y, x), error in np.ndenumerate(error_BR):
        colour = "white" if np.log(error) > middle else "black"
        weight = "bold" if error == np.nanmin(error_BR[y]) else "normal"
        axes.text(x, y, f"{error:.2f}", ha="center", va="center", color=colour, weight=weight)
    titled(axes, "Errors on the validation images, %; bold: the best rate of each batch size",
           "learning rate", "images in a batch")  # fmt: skip
    axes.grid(visible=False)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(batches)), [f"{size:g}" for size in batches])
    return figure


STUDY = Study(
    words=("experiment=reference", "data.val_size=10000", "test=false",
           f"data.batch_size={','.join(map(str, BATCHES))}",
           f"model.optimizer.lr={','.join(RATES)}", "seed=range(2)", *WITHOUT_CHECKPOINTS),
    by=BY,
    measure=scores(
        {"batch size": "data.batch_size", "learning rate": "model.optimizer.lr"},
        {"validation accuracy": "val/acc"},
    ),
    draw=draw,
)  # fmt: skip
