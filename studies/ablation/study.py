"""What each ingredient of the recipe `best` is worth: it is taken away, all else stays."""

from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure

from studies.figures import COLOURS, QUIET, sheet, titled
from studies.study import LEAN, SEED, Jobs, Row, Study, scores

WHOLE, WITHOUT, LOST = "the whole recipe", "without", "points lost"
EPOCHS = 20  # a tenth of its own, and the strengths that suit so few: those of `fast`
TAKEN_AWAY = {
    WHOLE: (),
    "elastic": ("data.augment.elastic=0",),
    "rotation": ("data.augment.rotation=0",),
    "scale": ("data.augment.scale=0",),
    "shift": ("data.augment.shift=0",),
    "any deformation": ("data.augment=null",),
    "weaker at the end": ("data.augment.at_end=1",),
    "schedule (lr 0.1)": ("model.scheduler=null", "model.optimizer.lr=0.1"),
    "warm-up": ("model.scheduler.pct_start=0.0",),
    "weight decay": ("model.optimizer.weight_decay=0",),
    "SGD (RMSprop, lr 0.001)": ("model/optimizer=rmsprop", "~model.optimizer.nesterov",
                               "model.optimizer.momentum=0", "model.optimizer.lr=1e-3"),
    "half of its epochs": (f"trainer.max_epochs={EPOCHS // 2}",),
}  # fmt: skip


def measure(jobs: Jobs, outputs: Path) -> list[Row]:
    accuracy = "validation accuracy"
    rows = scores({}, {accuracy: "val/acc"}, WITHOUT)(jobs, outputs)
    whole = {row[SEED]: row[accuracy] for row in rows if row[WITHOUT] == WHOLE}
    return [row | {LOST: 100 * (whole[row[SEED]] - row[accuracy])} for row in rows]


def draw(rows: list[Row]) -> Figure:
    names = [name for name in dict.fromkeys(row[WITHOUT] for row in rows) if name != WHOLE]
    lost = {name: [row[LOST] for row in rows if row[WITHOUT] == name] for name in names}
    names.sort(key=lambda name: fmean(lost[name]))
    figure = sheet(7.5, 0.4 * len(names) + 1.2)
    axes = figure.subplots()
    for y, name in enumerate(names):
        axes.barh(y, fmean(lost[name]), 0.4, color=COLOURS[0], alpha=0.4)
        axes.plot(lost[name], [y] * len(lost[name]), ".", color=COLOURS[0])
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    titled(axes, "", "points of validation accuracy lost without it; a dot for each seed", "")
    return figure


STUDY = Study(
    words=("experiment=best", f"trainer.max_epochs={EPOCHS}", "data.augment.elastic=0.8",
           "data.augment.scale=0.12", "data.val_size=10000", "test=false", "seed=range(3)",
           "callbacks.best=null", *LEAN),
    sweeps=TAKEN_AWAY,
    by=[WITHOUT],
    measure=measure,
    draw=draw,
)  # fmt: skip
