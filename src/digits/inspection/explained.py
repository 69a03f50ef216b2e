"""A picture of why one digit was read and not another. Shapes: H W P pixels, K classes."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageOps

from digits.inspection.evidence import Pixels
from digits.inspection.figures import GRID, QUIET, RIGHT, Sheet, tinted
from digits.inspection.statistics import Floats

ZOOM, SMALL = 8, 2  # of 28x28 pixels
SIDE = 28 * ZOOM
GAP, TOP, BAR = 24, 80, 22  # pixels
STEPS = TOP + SIDE + 40
BELOW = STEPS + SIDE + 50
WIDTH = 4 * SIDE + 5 * GAP


def picture(
    name: str, pair: tuple[int, int], photo: Image.Image, layers: Sequence[Floats], seen_HW: Pixels,
    p_K: Sequence[float], parts_HW: Floats, bias: float, units: Mapping[int, tuple[float, Floats]],
) -> Image.Image:  # fmt: skip
    """Why the first digit of `pair` and not the second: `parts_HW` and `bias` add up to their
    logits' difference; `units` have their share of it, and their weights (P). `layers` are a
    Drawing's.
    """
    digit, other = pair
    ink = float(parts_HW.sum())
    title = f"{name}: {digit} before {other} by {ink + bias:.1f} logits"
    sheet = Sheet(WIDTH, BELOW + 28 * SMALL + 36, title)
    heads = "picture", "28x28", f"red speaks for {digit}, blue for {other}", "probability"
    lefts = [GAP + place * (SIDE + GAP) for place in range(4)]
    for left, text in zip(lefts, heads, strict=True):
        sheet.write((left, TOP - 14), text, 13, QUIET, "lm", SIDE)
    sheet.picture.paste(photo, (2 * lefts[0], 2 * TOP))
    steps = "as it was read", "its paper's light", "ink", "strokes that count"
    for left, text, layer_HW in zip(lefts, steps, layers, strict=True):
        sheet.write((left, STEPS - 14), text, 13, QUIET, "lm", SIDE)
        step = Image.fromarray((255 * layer_HW).astype("uint8"))
        sheet.picture.paste(ImageOps.contain(step, (2 * SIDE, 2 * SIDE)), (2 * left, 2 * STEPS))
    faint = (255 - seen_HW[..., None] // 3).astype("float32")
    for left, pixels in ((lefts[1], 255 - seen_HW), (lefts[2], tinted(parts_HW, faint))):
        sheet.box((left - 1, TOP - 1), (left + SIDE, TOP + SIDE), GRID)
        sheet.tile(pixels, ZOOM, (left, TOP))
    for k, p in enumerate(p_K):
        _bar(sheet, lefts[3], TOP + BAR * (k + 0.5), str(k), p, RIGHT if k == digit else QUIET)
    said = f"ink {ink:+.1f}, biases {bias:+.1f}; the units that count most, and their weights:"
    sheet.write((GAP, BELOW - 16), said, 13, QUIET, "lm")
    for place, (unit, (share, weights_P)) in enumerate(units.items()):
        at = GAP + place * (WIDTH - 2 * GAP) / len(units), BELOW + 2.0
        sheet.tile(tinted(weights_P.reshape(28, 28)), SMALL, at)
        colour = "#b2182b" if share > 0 else "#2166ac"
        sheet.write((at[0], at[1] + 28 * SMALL + 14), f"{unit}: {share:+.1f}", 11, colour, "lm")
    return sheet.done()


def framed(photo: Image.Image, box: Sequence[float]) -> Image.Image:
    """As large as `picture` shows it, with a frame where the digit is."""
    scale = 2 * SIDE / max(photo.size)
    width, height = (max(1, round(side * scale)) for side in photo.size)
    small = photo.convert("RGB").resize((width, height))
    ImageDraw.Draw(small).rectangle([side * scale for side in box], outline=RIGHT, width=3)
    return small


def _bar(sheet: Sheet, left: float, y: float, name: str, p: float, colour: str) -> None:
    begin, long = left + 18, SIDE - 80
    sheet.write((left, y), name, 13, colour, "lm")
    sheet.box((begin, y - 5), (begin + long, y + 5), GRID)
    sheet.box((begin, y - 5), (begin + long * p, y + 5), colour)
    sheet.write((left + SIDE, y), f"{p:.1%}", 13, colour, "rm")
