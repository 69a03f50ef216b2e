"""What each side is told and reports. Keras's process imports this, so it needs no torch."""

from typing import TypedDict

EPOCHS, BATCH, STEPS = 5, 128, 469  # steps are those of one epoch
PLANNED = 40  # seeds of a side
LOOKS = tuple(-(-STEPS * part // 8) for part in range(1, 9))  # steps of the last epoch

SIDES = {
    "ours": "ours, `src/train.py`",
    "bare": "bare PyTorch loop",
    "keras": "Keras 3, TensorFlow",
    "bare_keras_rule": "bare loop, Keras 3's rule",
    "keras_seeded": "Keras 3, one order",
    "bare_one_order": "bare loop, Keras 3's rule, one order",
    "bare_torch_init": "bare loop, torch's initialisation",
}
KERAS = ("keras", "keras_seeded")  # those that need TensorFlow


class Record(TypedDict):
    """One training: on the test set after the last epoch and at the looks; and, of the first
    epoch, the running means over its training images. `weights` is a fingerprint of them.
    """

    acc: float
    loss: float
    looks: list[float]
    first_loss: float
    first_acc: float
    weights: str
