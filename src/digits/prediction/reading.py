"""A picture's reading that looks most like a digit: each guess at its paper gives one."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from digits.images import decode, drawing
from digits.images.drawn import Drawing
from digits.prediction import confidence
from digits.prediction.network import shipped
from digits.prediction.predictor import Predictor


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
    """The first if it is surely a digit, or several; else the likeliest by the network that comes
    with the package: all networks are shown the same pixels.
    """
    first = next(guesses)
    (read,) = judge().predict([first])
    if read.score >= confidence.measured().threshold:
        return first
    others = list(guesses)
    scores = [read.score, *(each.score for each in judge().predict(others))]
    return [first, *others][max(range(len(scores)), key=scores.__getitem__)]


@cache
def judge() -> Predictor:
    return Predictor(shipped())
