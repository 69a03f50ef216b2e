"""`python killed_at.py MOMENT COUNT src/train.py ...`: the command, killed by SIGKILL when it comes
to MOMENT for the COUNT-th time.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from digits.data import idx
from digits.model.classifier import DigitClassifier
from digits.training import logs

MOMENTS = {
    "reading the data": (idx, "parse"),
    "validation": (DigitClassifier, "validation_step"),
    "the end of an epoch": (DigitClassifier, "on_train_epoch_end"),
    "the start of an epoch": (_TrainingEpochLoop, "on_run_start"),
    "the test": (DigitClassifier, "test_step"),
    "cutting the logs": (logs.CSVLogger, "go_on_from"),
    "writing a file": (os, "fsync"),
    "replacing a file": (Path, "replace"),
    "keeping the checkpoint before": (os, "link"),
}


def main(moment: str, count: int, argv: list[str]) -> None:
    owner, name = MOMENTS[moment]
    original, left = getattr(owner, name), [count]

    def dies(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, dies)
    sys.argv = argv
    runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
