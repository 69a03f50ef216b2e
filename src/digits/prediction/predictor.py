"""Drawings to digits and probabilities: what predict and serve share. Shapes: N images, H W
pixels, K = 10 classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.images.drawn import Box, Drawing, Glyph, Pixels
from digits.prediction import confidence
from digits.prediction.network import Weights

Network = Callable[[Pixels], NDArray[np.float32]]  # uint8 (N, 28, 28) to probabilities (N, 10)

BATCH = 1024
BLANK, NOT_SURE = "blank", "not sure"


@dataclass(frozen=True)
class Prediction:
    """`digit` and `probability` are None for a blank image and for one of several digits, which are
    then in `parts`. `note` is empty, "blank", "not sure" or "2 digits". `seen` is what the model
    was shown.
    """

    digit: int | None
    probability: float | None
    probabilities: tuple[float, ...] | None
    note: str
    box: Box | None
    seen: Pixels | None
    parts: tuple["Prediction", ...] = ()
    score: float = 0.0  # as Sure.score, of several digits the parts' mean

    @property
    def is_sure(self) -> bool:
        return not self.note

    @property
    def answer(self) -> tuple[int | None, ...]:
        """The digits, from left to right."""
        return tuple(part.digit for part in self.parts) or (self.digit,)

    def told(self) -> dict[str, Any]:
        """What predict's JSON and the server's answer both have."""
        names = ("digit", "probability", "probabilities", "note", "box")
        return {name: getattr(self, name) for name in names}


class Predictor:
    """`predict` may be called from any thread, one at a time."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def weights(self) -> Weights | None:
        """Of the project's kind of network, which can be explained; None of others."""
        return self.network if isinstance(self.network, Weights) else None

    def predict(self, drawings: Sequence[Drawing]) -> list[Prediction]:
        """A prediction for each; all go through the network together."""
        glyphs = [
            glyph
            for drawing in drawings
            if drawing.whole is not None
            for glyph in (drawing.whole, *drawing.parts)
        ]
        read = iter(self._read(glyphs))
        return [
            Prediction(None, None, None, BLANK, None, None)
            if drawing.whole is None
            else _decided(next(read), tuple(next(read) for _ in drawing.parts))
            for drawing in drawings
        ]

    def _read(self, glyphs: Sequence[Glyph]) -> list[Prediction]:
        predictions: list[Prediction] = []
        measured = confidence.measured()
        for begin in range(0, len(glyphs), BATCH):
            some = glyphs[begin : begin + BATCH]
            images_NHW = np.stack([glyph.pixels_HW for glyph in some])
            p_NK = confidence.tempered(self.network(images_NHW), measured.temperature)
            predictions += map(_prediction, some, p_NK, measured.score(some, p_NK))
        return predictions


def _prediction(glyph: Glyph, p_K: NDArray[np.float32], score: np.float32) -> Prediction:
    digit = int(p_K.argmax())
    note = "" if score >= confidence.measured().least(glyph) else NOT_SURE
    seen, p = glyph.pixels_HW, tuple(p_K.tolist())
    return Prediction(digit, p[digit], p, note, glyph.box, seen, score=float(score))


def _decided(whole: Prediction, parts: tuple[Prediction, ...]) -> Prediction:
    """One digit in pieces, or several digits: several if most pieces are surely digits, unless the
    whole surely is one and a piece isn't.
    """
    sure_parts = sum(part.is_sure for part in parts)
    if 2 * sure_parts <= len(parts) or (whole.is_sure and sure_parts < len(parts)):
        return whole
    score = sum(part.score for part in parts) / len(parts)
    note = f"{len(parts)} digits"
    return Prediction(None, None, None, note, whole.box, whole.seen, parts, score)
