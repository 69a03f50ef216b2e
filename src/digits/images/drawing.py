"""Any image to 28x28 the way MNIST was made. Shapes: H W pixels."""

from dataclasses import replace

import numpy as np
from PIL import Image

from digits.images import colours, decode, glyph, ink, strokes
from digits.images.drawn import Box, Drawing, Glyph
from digits.images.paper import is_sheet

WORKED_AT = 160  # pixels of the longer side
FINE_PRINT = 640  # pixels of the longer side, if WORKED_AT shows nothing
TINY = 20  # pixels of the longer side: less is enlarged first
EDGE = 0.06  # of a sheet of paper, where its border may be
LEGIBLE = 40  # pixels of the ink's longer side; smaller ink is cut out and read again


def read(
    data: bytes, max_pixels: int = decode.MAX_PIXELS, formats: tuple[str, ...] | None = None
) -> Drawing:
    """The drawing in an image file's content. Raises InputError, without the file's name, if
    Pillow can't read it (as one of `formats`, if given) or it has more than `max_pixels`.
    """
    image, size = decode.upright(data, max_pixels, formats, 4 * WORKED_AT)
    if max(size) < TINY:
        large = [side * WORKED_AT // max(size) or 1 for side in size]
        image = decode.grey(image).resize(large, Image.Resampling.BICUBIC)
    drawing = normalise(image)
    if drawing.whole is None or image.size == size:
        return drawing
    whole, *parts = (
        replace(each, box=_scaled(each.box, (size[0] / image.width, size[1] / image.height)))
        for each in (drawing.whole, *drawing.parts)
    )
    return Drawing(whole, tuple(parts))


def normalise(image: Image.Image) -> Drawing:
    """The drawing in an upright image."""
    grey = decode.grey(image)
    for longest in (WORKED_AT, FINE_PRINT):
        drawing = _normalise(grey, (0, 0), closer=True, longest=longest)
        if drawing.whole is not None or max(grey.size) <= WORKED_AT:
            break
    if drawing.whole is None and (hues := colours.as_grey(image)):
        return _normalise(hues, (0, 0), closer=True)
    return drawing


def _normalise(
    grey: Image.Image, corner: tuple[int, int], closer: bool, longest: int = WORKED_AT
) -> Drawing:
    work = _reduced(grey, longest)
    scale = grey.width / work.width, grey.height / work.height
    ink_HW = ink.find(np.asarray(work, dtype=np.float32) / np.float32(255))
    inks = [] if ink_HW is None else strokes.separate(ink_HW)
    if not inks:
        return Drawing(None)
    whole_HW = np.maximum.reduce(inks)
    around = _scaled(glyph.extent(whole_HW), scale)
    near = _surroundings(around, grey.size)
    if closer and _is_small(around, scale, longest) and near != (0, 0, *grey.size):
        return _normalise(grey.crop(near), (corner[0] + near[0], corner[1] + near[1]), closer=False)
    if closer and is_sheet(whole_HW > strokes.INKED):  # of paper, on a table
        page = _inside(around)
        place = corner[0] + page[0], corner[1] + page[1]
        drawing = _normalise(grey.crop(page), place, closer=False)
        if drawing.whole is not None:
            return drawing
    glyphs = [
        Glyph(glyph.fitted(each), _scaled(glyph.extent(each), scale, corner))
        for each in ([whole_HW, *inks] if len(inks) > 1 else inks)
    ]
    return Drawing(glyphs[0], tuple(glyphs[1:]))


def _is_small(box: Box, scale: tuple[float, float], longest: int) -> bool:
    longer = max((box[2] - box[0]) / scale[0], (box[3] - box[1]) / scale[1])
    return max(scale) > 1.2 and longer < LEGIBLE * longest / WORKED_AT


def _inside(box: Box) -> Box:
    """`box` without its edges."""
    edge = round(EDGE * max(box[2] - box[0], box[3] - box[1]))
    return box[0] + edge, box[1] + edge, box[2] - edge, box[3] - edge


def _surroundings(box: Box, size: tuple[int, int]) -> Box:
    """A box with as much paper around it as estimating the light needs."""
    margin = round(0.6 * max(box[2] - box[0], box[3] - box[1])) + 4
    return (
        max(0, box[0] - margin),
        max(0, box[1] - margin),
        min(size[0], box[2] + margin),
        min(size[1], box[3] + margin),
    )


def _scaled(box: Box, scale: tuple[float, float], corner: tuple[int, int] = (0, 0)) -> Box:
    left, upper, right, lower = (round(side * scale[axis % 2]) for axis, side in enumerate(box))
    return left + corner[0], upper + corner[1], right + corner[0], lower + corner[1]


def _reduced(grey: Image.Image, longest: int) -> Image.Image:
    """At most `longest` pixels a side, each the mean of those it replaces."""
    scale = longest / max(grey.size)
    if scale >= 1:
        return grey
    size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
    return grey.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
