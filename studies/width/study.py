"""How many hidden units the reference recipe needs."""

from functools import partial

from studies.figures import errors
from studies.study import WITHOUT_CHECKPOINTS, Study, scores

UNITS, ACCURACY = "hidden units", "validation accuracy"
WIDTHS = tuple(2**power for power in range(3, 13))

STUDY = Study(
    words=("experiment=reference", "data.val_size=10000", "test=false",
           f"model.hidden_size={','.join(map(str, WIDTHS))}", "seed=range(3)",
           *WITHOUT_CHECKPOINTS),
    by=[UNITS],
    measure=scores(
        {UNITS: "model.hidden_size"},
        {ACCURACY: "val/acc", "validation loss": "val/loss",
         "training loss": "train/loss"},
    ),
    draw=partial(errors, x=UNITS, accuracy=ACCURACY),
)  # fmt: skip
