"""How many hidden units the reference recipe needs."""

from matplotlib.figure import Figure

from studies.figures import COLOURS, line, sheet, titled
from studies.study import WITHOUT_CHECKPOINTS, Row, Study, scores

WIDTHS = tuple(2**power for power in range(3, 13))


def draw(rows: list[Row]) -> Figure:
    figure = sheet()
    axes = figure.subplots()
    points = [(row["hidden units"], 100 * (1 - row["validation accuracy"])) for row in rows]
    line(axes, points, COLOURS[0])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(WIDTHS, [f"{width:,}" for width in WIDTHS])
    axes.set_yticks([2, 3, 5, 8], ["2", "3", "5", "8"])
    axes.minorticks_off()
    titled(axes, "", "hidden units", "errors on the validation images, %")
    return figure


STUDY = Study(
    words=("experiment=reference", "data.val_size=10000", "test=false",
           f"model.hidden_size={','.join(map(str, WIDTHS))}", "seed=range(3)",
           *WITHOUT_CHECKPOINTS),
    by=["hidden units"],
    measure=scores(
        {"hidden units": "model.hidden_size"},
        {"validation accuracy": "val/acc", "validation loss": "val/loss",
         "training loss": "train/loss"},
    ),
    draw=draw,
)  # fmt: skip
