"""Any image to 28x28 the way MNIST was made. No torch. Shapes: H W pixels."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from digits.errors import InputError

SIDE = 28
Box = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Glyph:
    """One digit as the model sees it: uint8 (28, 28), 0 black; and where it was in the image, in
    pixels (left, upper, right, lower), upright.
    """

    pixels_HW: Pixels
    box: Box


@dataclass(frozen=True)
class Drawing:
    """What is drawn in an image. `whole` is None when it is blank; `parts`, from left to right, are
    what it may consist of when it looks like several digits.
    """

    whole: Glyph | None
    parts: tuple[Glyph, ...] = ()


def read(data: bytes, max_pixels: int = 1 << 26) -> Drawing:
    """The drawing in an image file's content. Raises InputError, without the file's name, where
    Pillow can't read it or it has more than `max_pixels`.
    """
    try:
        image = Image.open(BytesIO(data))
        if image.width * image.height > max_pixels:
            raise InputError(f"{image.width}x{image.height} pixels; expected at most {max_pixels}")
        image.load()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"not an image that Pillow can read ({error})") from error
    return normalise(ImageOps.exif_transpose(image))


def normalise(image: Image.Image) -> Drawing:
    grey_HW = np.asarray(image.convert("L"), dtype=np.float32)
    background = np.median(grey_HW)
    ink_HW = np.abs(grey_HW - background)
    if ink_HW.max() < 20:
        return Drawing(None)
    ink_HW /= ink_HW.max()
    ys, xs = np.nonzero(ink_HW > 0.3)
    box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    crop = Image.fromarray((ink_HW * 255).astype(np.uint8)).crop(box)
    scale = 20 / max(crop.size)
    small = crop.resize((max(1, round(crop.width * scale)), max(1, round(crop.height * scale))))
    pixels = Image.new("L", (SIDE, SIDE))
    pixels.paste(small, ((SIDE - small.width) // 2, (SIDE - small.height) // 2))
    return Drawing(Glyph(np.asarray(pixels), box))
