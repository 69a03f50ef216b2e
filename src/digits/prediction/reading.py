"""A picture's reading that looks most like a digit: each guess at its paper gives one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from digits.images import decode, drawing
from digits.images.drawn import Drawing
from digits.prediction.network import shipped
from digits.prediction.predictor import NOT_SURE, Predictor

FAVOURED = 0.85  # to be taken, what another way's score than the first's counts: studies/not_sure


def read(
    data: bytes,
    max_pixels: int = decode.MAX_PIXELS,
    formats: tuple[str, ...] | None = None,
    layers: bool = False,
) -> Drawing:
    """Of an image file's content, with its `layers` if asked. Raises InputError as
    `drawing.guesses` does.
    """
    found = best(drawing.guesses(data, max_pixels, formats))
    kept = tuple(np.clip(layer_HW, 0, 1) for layer_HW in found.layers) if layers else ()
    return replace(found, layers=kept)


def best(guesses: Iterator[Drawing]) -> Drawing:
    """The likeliest by the network that comes with the package: all networks are shown the same
    pixels. Of several with the same answer, it is the first that is sure.
    """
    first = next(guesses)
    (read,) = judge().predict([first])
    if read.score >= FAVOURED:  # none can beat it
        return first
    drawings = [first, *guesses]
    found = [read, *judge().predict(drawings[1:])]
    scores = [each.score * (FAVOURED if number else 1) for number, each in enumerate(found)]
    answer = found[max(range(len(scores)), key=scores.__getitem__)].answer
    same = [number for number, each in enumerate(found) if each.answer == answer]
    return drawings[max(same, key=lambda number: found[number].note != NOT_SURE)]


@cache
def judge() -> Predictor:
    return Predictor(shipped())
