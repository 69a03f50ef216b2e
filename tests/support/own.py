"""Models of somebody's own."""

from typing import Any

from digits.model.classifier import DigitClassifier


class Noted(DigitClassifier):
    """Keeps a note, and all it is given, among its hyper-parameters."""

    def __init__(self, note: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.save_hyperparameters()
