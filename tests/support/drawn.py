"""Pictures of digits for tests: ink drawn by Pillow, and MNIST's own."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits.data import idx, mnist
from support.commands import EMBEDDED

Pixels = NDArray[np.uint8]


@cache
def training() -> tuple[Pixels, NDArray[np.int64]]:
    images, labels = idx.read(EMBEDDED, mnist.TRAIN)
    return images[:60].numpy(), labels[:60].numpy()


def large(number: int, side: int = 280, place: tuple[int, int] = (40, 60)) -> Pixels:
    """White ink on black: a training digit at 160 pixels, its corner at `place`."""
    digit = Image.fromarray(training()[0][number]).resize((160, 160), Image.Resampling.BICUBIC)
    page = Image.new("L", (side, side))
    page.paste(digit, place)
    return np.asarray(page)


def seven(size: tuple[int, int] = (200, 200), width: int = 14) -> Image.Image:
    """Black on white."""
    page = Image.new("L", size, 255)
    ImageDraw.Draw(page).line([(60, 50), (140, 50), (90, 160)], fill=0, width=width, joint="curve")
    return page
