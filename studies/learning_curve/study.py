"""How many images the reference recipe needs."""

from functools import partial

from studies.figures import errors
from studies.study import WITHOUT_CHECKPOINTS, Study, scores

IMAGES, TEST = "training images", "test accuracy"
SIZES = (600, 1200, 3000, 6000, 12000, 30000, 60000)
STEPS = 2345  # the reference's: 5 epochs of 60,000 images

STUDY = Study(
    words=("experiment=reference", f"trainer.max_steps={STEPS}", "trainer.max_epochs=-1",
           "seed=range(5)", *WITHOUT_CHECKPOINTS),
    sweeps={str(size): (f"data.train_size={size}",) for size in SIZES},
    by=[IMAGES],
    measure=scores({}, {TEST: "test/acc", "test loss": "test/loss"}, IMAGES),
    draw=partial(errors, x=IMAGES, accuracy=TEST),
)  # fmt: skip
