"""Handwritten digits with Lightning and Hydra. From Python:

from digits import load, train

run = train("trainer.max_epochs=1")
print(run.metrics["test/acc"])
print(load(run.path).read("photo.jpg"))
probabilities = digits.open(run.path).probabilities
"""

from importlib import import_module
from typing import Any

_IN = {
    "DigitClassifier": "digits.model.classifier",
    "ImageDataModule": "digits.data.datamodule",
    "MNISTDataModule": "digits.data.datamodule",
    "load": "digits.notebook",
    "open": "digits.notebook",
    "train": "digits.notebook",
}
# `open` is left out: `import *` would hide Python's own
__all__ = ["DigitClassifier", "ImageDataModule", "MNISTDataModule", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import `name` when somebody asks for it, so that importing the package takes no time."""
    if name not in _IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_IN[name]), name)
