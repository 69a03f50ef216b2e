"""Any image to 28x28 the way MNIST was made. Shapes: H W pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from digits.images import colours, decode, glyph, ink, paper, strokes, traits
from digits.images.drawn import Box, Drawing, Glyph
from digits.images.ink import Ink

WORKED_AT = 160  # pixels of the longer side
FINE_PRINT = 640  # pixels of the longer side, if WORKED_AT shows nothing
TINY = 20  # pixels of the longer side: less is enlarged first
FEW = 4  # digits in a row, as "not sure" has learned from
PLAIN = 0.02  # roughness of paper: a standard deviation of 1.3 of 255
STRONG = 0.6  # of the strongest ink
LEGIBLE = 0.25  # of the longer side: smaller ink is cut out and read again
DARK = partial(paper.narrow, dark=True, share=0.1)
THIN_DARK = partial(paper.narrow, dark=True, share=0.05)
LIGHT = partial(paper.narrow, dark=False, share=0.1)


@dataclass(frozen=True)
class Way:
    """Of finding ink: a guess at the paper, and what is done to the ink."""

    number: int
    guess: ink.Guess = paper.around
    mend: Callable[[Ink], Ink] = lambda ink_HW: ink_HW
    above: float = 0  # of the strongest ink


FIRST, IN_COLOURS = Way(0), Way(1)
OTHERS = Way(2, mend=ink.filled), Way(3, mend=ink.joined), Way(4, above=STRONG)
IN_SHADOWS = (  # nonsense on a screen's plain paper
    Way(5, DARK),
    Way(6, THIN_DARK),
    Way(7, DARK, above=STRONG),
    Way(8, LIGHT),
)
SHEET = Way(9)


@dataclass(frozen=True)
class View:
    """A picture or a part of it, and where its corners are in the file's pixels."""

    grey: Image.Image
    corners: paper.Quad
    found: dict[tuple[ink.Guess, int], tuple[paper.Grey, ink.Raised | None]] = field(
        default_factory=dict
    )

    def find(self, guess: ink.Guess, longest: int) -> tuple[paper.Grey, ink.Raised | None]:
        """The picture, at most `longest` pixels a side, and what stands out from its paper: once,
        as several ways have the same guess.
        """
        if (guess, longest) not in self.found:
            work = self.grey.copy()
            work.thumbnail((longest, longest), Image.Resampling.BOX)
            grey_HW = np.asarray(work, dtype=np.float32) / np.float32(255)
            self.found[guess, longest] = grey_HW, ink.find(grey_HW, guess)
        return self.found[guess, longest]

    def part(self, box: Box) -> "View":
        return View(self.grey.crop(box), self.place(box, self.grey.size))

    def sheet(self, quad: paper.Quad) -> "View":
        places = [self.place((x, y, x, y), self.grey.size)[0] for x, y in quad]
        return View(paper.straightened(self.grey, quad), np.array(places))

    def place(self, box: tuple[float, ...], size: tuple[int, int]) -> paper.Quad:
        """The corners of a box in this view, shown `size` pixels large, in the file's pixels."""
        u = np.array([box[0], box[2], box[2], box[0]]) / size[0]
        v = np.array([box[1], box[1], box[3], box[3]]) / size[1]
        shares = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], 1)
        corners: paper.Quad = shares @ self.corners
        return corners


def guesses(
    data: bytes, max_pixels: int = decode.MAX_PIXELS, formats: tuple[str, ...] | None = None
) -> Iterator[Drawing]:
    """What is drawn in an image file's content by each guess at its paper, the likeliest first.
    Raises InputError, without the file's name, if Pillow can't read it (as one of `formats`, if
    given) or it has more than `max_pixels`.
    """
    image, size = decode.upright(data, max_pixels, formats, 4 * WORKED_AT)
    if max(size) < TINY:
        large = [side * WORKED_AT // max(size) or 1 for side in size]
        image = decode.grey(image).resize(large, Image.Resampling.BICUBIC)
    return of_image(image, size)


def read(data: bytes) -> Drawing:
    """By the first guess."""
    return next(guesses(data))


def of_image(image: Image.Image, size: tuple[int, int] | None = None) -> Iterator[Drawing]:
    """As `guesses`, of an upright image, with boxes as if it were `size` pixels large."""
    width, height = size or image.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    view = View(decode.grey(image), corners)
    yield (first := _drawing(view, FIRST))
    if hues := colours.as_grey(image):
        yield _drawing(View(hues, corners), IN_COLOURS)
    is_plain = first.whole is not None and first.whole.traits[traits.ROUGH] < PLAIN
    for way in OTHERS if is_plain else OTHERS + IN_SHADOWS:
        yield _drawing(view, way)
    for quad in paper.sheets(view.grey):
        yield _drawing(view.sheet(quad), SHEET)


def _drawing(view: View, way: Way) -> Drawing:
    for longest in (WORKED_AT, FINE_PRINT):
        inks, drawing = _at_once(view, way, longest)
        if inks is not None or max(view.grey.size) <= longest:
            break
    if inks is None:
        return drawing
    scale, (left, upper, right, lower) = view.grey.width / inks.shape[1], glyph.extent(inks)
    longer = max(right - left, lower - upper)
    if scale <= 1.2 or longer >= LEGIBLE * longest:
        return drawing
    margin = 0.6 * longer + 4 / scale  # as much paper around as estimating the light needs
    around = (left - margin, upper - margin, right + margin, lower + margin)
    width, height = view.grey.size
    near = tuple(min(max(0, round(side * scale)), (width, height)[axis % 2])
                 for axis, side in enumerate(around))  # fmt: skip
    return drawing if near == (0, 0, width, height) else _at_once(view.part(near), way, longest)[1]


def _at_once(view: View, way: Way, longest: int) -> tuple[Ink | None, Drawing]:
    """With the ink that counts, at most `longest` pixels a side; None if there is none."""
    grey_HW, raised = view.find(way.guess, longest)
    if raised is None or not (inks := strokes.separate(ink_HW := way.mend(raised.ink(way.above)))):
        return None, Drawing(None)
    whole_HW = np.maximum.reduce(inks)
    glyphs = []
    for number, each in enumerate([whole_HW, *(inks if len(inks) > 1 else ())]):
        begin = max(0, min(number - 2, len(inks) - FEW))  # of a long row, its neighbours count
        few_HW = np.maximum.reduce(inks[begin : begin + FEW]) if number else whole_HW
        corners = view.place(glyph.extent(each), grey_HW.shape[::-1])
        (left, upper), (right, lower) = corners.min(0).round(), corners.max(0).round()
        box = int(left), int(upper), int(right), int(lower)
        left_out_HW = whole_HW - few_HW
        its_traits = traits.of(grey_HW, ink_HW, left_out_HW, few_HW, each, way.number)
        glyphs.append(Glyph(glyph.fitted(each), box, its_traits))
    layers = grey_HW, raised.paper_HW, ink_HW, whole_HW
    return whole_HW, Drawing(glyphs[0], tuple(glyphs[1:]), layers)
