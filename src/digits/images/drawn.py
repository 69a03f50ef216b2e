"""What is found in a picture. Shapes: H W pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]
WAYS = 10  # of reading a picture
TRAITS = 15 + WAYS


@dataclass(frozen=True)
class Glyph:
    """One digit as the model sees it: uint8 (28, 28), 0 black; and where it was in the picture, in
    pixels (left, upper, right, lower), upright.
    """

    pixels_HW: Pixels
    box: Box
    traits: tuple[float, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """What is drawn in an image. `whole` is None when it is blank; `parts`, from left to right, are
    what it may consist of if it looks like several digits. `layers` are the picture, its paper's
    light, the ink and the strokes that count: (H, W) each, in [0, 1].
    """

    whole: Glyph | None
    parts: tuple[Glyph, ...] = ()
    layers: tuple[NDArray[np.float32], ...] = ()
