"""How many images the reference recipe needs."""

from matplotlib.figure import Figure

from studies.figures import COLOURS, line, sheet, titled
from studies.study import WITHOUT_CHECKPOINTS, Row, Study, scores

SIZES = (600, 1200, 3000, 6000, 12000, 30000, 60000)
STEPS = 2345  # the reference's: 5 epochs of 60,000 images


def draw(rows: list[Row]) -> Figure:
    figure = sheet()
    axes = figure.subplots()
    points = [(row["training images"], 100 * (1 - row["test accuracy"])) for row in rows]
    line(axes, points, COLOURS[0])
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES], minor=False)
    axes.set_yticks([2, 3, 5, 10, 15], ["2", "3", "5", "10", "15"])
    axes.minorticks_off()
    titled(axes, f"{STEPS:,} steps each", "training images",
           "errors on the test images, %")  # fmt: skip
    return figure


STUDY = Study(
    words=("experiment=reference", f"trainer.max_steps={STEPS}", "trainer.max_epochs=-1",
           "seed=range(5)", *WITHOUT_CHECKPOINTS),
    sweeps={str(size): (f"data.train_size={size}",) for size in SIZES},
    by=["training images"],
    measure=scores({}, {"test accuracy": "test/acc", "test loss": "test/loss"}, "training images"),
    draw=draw,
)  # fmt: skip
