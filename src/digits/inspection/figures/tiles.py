"""Pictures of many small pictures, drawn by Pillow: matplotlib takes a second for what takes 0.1 s.

Shapes: N pictures, U units, K classes, H W pixels (and 3 colours or none).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digits.inspection.statistics import Ints
from digits.text import flat

Pixels = NDArray[np.uint8]

TITLE = 40  # pixels, for a picture's title
RIGHT, WRONG, QUIET = "#0072b2", "#d55e00", "#5a6472"  # Okabe and Ito's blue, vermilion; grey
BLUE, RED = np.array([33, 102, 172]), np.array([178, 24, 43])  # ColorBrewer's RdBu, its ends
DEEP = np.array([8, 48, 107])  # ColorBrewer's Blues, its dark end
LONGEST = 90  # characters of a title
SMALLEST = 9  # of a font
MOST_NUMBERS = 20  # classes whose counts are written into the cells


def samples(images_NHW: Pixels, labels: Sequence[str], columns: int = 8) -> Image.Image:
    """Digits under their labels, as the reference plots one: 0 white and 255 black."""
    tiles = _with_room(_zoomed(images_NHW, 84), 36, 0, 12)
    picture = _picture(_grid(tiles, columns))
    height, width = tiles.shape[1:3]
    for place, label in enumerate(labels):
        row, column = divmod(place, columns)
        x, y = column * width + width // 2, row * height + 18
        _write(picture, (x, y), label, 15, "black", room=width)
    return picture


def mistakes(
    pictures_NHW: Pixels, captions: Sequence[tuple[str, str]], title: str, columns: int = 5
) -> Image.Image:
    """Pictures under what each is, in blue, and what it was taken for, in orange; words have a
    line each.
    """
    are_words = any(len(true) > 3 for true, _ in captions)
    tiles = _with_room(_zoomed(pictures_NHW, 84), 46 if are_words else 30, 6, 24)
    picture = _picture(_grid(tiles, columns), title)
    height, width = tiles.shape[1:3]
    for place, (true, taken_for) in enumerate(captions):
        row, column = divmod(place, columns)
        left, y = column * width, TITLE + row * height + 18
        if are_words:
            middle, room = left + width // 2, width - 4
            _write(picture, (middle, y - 3), true, 15, RIGHT, room=room)
            _write(picture, (middle, y + 15), taken_for, 12, WRONG, room=room)
        else:
            x = left + width // 4
            _write(picture, (x - 3, y), true, 15, RIGHT, "rm")
            _write(picture, (x + 3, y), taken_for, 12, WRONG, "lm", width * 3 // 4)
    return picture


def weights(weights_UHW: NDArray[np.floating], title: str, columns: int = 8) -> Image.Image:
    """Each unit's weights as a picture: blue below 0, red above, white at 0."""
    share_UHW = weights_UHW / (float(np.abs(weights_UHW).max()) or 1.0)
    ends = np.where(share_UHW[..., None] > 0, RED, BLUE)
    tiles = (255 + np.abs(share_UHW)[..., None] * (ends - 255)).round().astype(np.uint8)
    return _picture(_grid(_with_room(_zoomed(tiles, 56), 2, 2, 2), columns), title)


def confusion(counts_KK: Ints, names: Sequence[str], title: str) -> Image.Image:
    """Rows are true classes. Mistakes are the bluer the more they are; on the diagonal, which has
    far more, stand numbers alone.
    """
    classes = len(counts_KK)
    cell = 42 if classes <= 12 else max(1, 640 // classes)
    wrong_KK = counts_KK * ~np.eye(classes, dtype=bool)
    share_KK = wrong_KK / max(1, int(wrong_KK.max()))
    cells = (255 + share_KK[..., None] * (DEEP - 255)).round().astype(np.uint8)
    left, below = 70, 60
    width, height = left + classes * cell + 30, TITLE + classes * cell + below
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(Image.fromarray(cells.repeat(cell, 0).repeat(cell, 1)), (left, TITLE))
    frame = (left - 1, TITLE - 1, left + classes * cell, TITLE + classes * cell)
    ImageDraw.Draw(picture).rectangle(frame, outline=QUIET)
    if classes <= MOST_NUMBERS:
        size = 13 if classes <= 12 else 9
        for row, column in np.argwhere(counts_KK).tolist():
            colour = QUIET if row == column else "white" if share_KK[row, column] > 0.5 else "black"
            at = left + column * cell + cell // 2, TITLE + row * cell + cell // 2
            _write(picture, at, str(counts_KK[row, column]), size, colour)
        for place, name in enumerate(names):
            at = left - 8, TITLE + place * cell + cell // 2
            _write(picture, at, name, size, "black", "rm", left - 12)
            at = left + place * cell + cell // 2, TITLE + classes * cell + 14
            _write(picture, at, name, size, "black", room=cell - 4)
    _write(picture, (left - 8, TITLE - 9), "true", 12, QUIET, "rm")
    _write(picture, (left + classes * cell // 2, height - 18), "predicted", 12, QUIET)
    _write(picture, (width // 2, TITLE // 2 - 7), title, 15, "black")
    return picture


def _picture(grid: Pixels, title: str | None = None) -> Image.Image:
    """Of a grid of tiles; where there are no colours, 0 is white."""
    shown = Image.fromarray(grid if grid.ndim == 3 else 255 - grid).convert("RGB")
    if not title:
        return shown
    picture = Image.new("RGB", (shown.width, shown.height + TITLE), "white")
    picture.paste(shown, (0, TITLE))
    _write(picture, (shown.width // 2, TITLE // 2), title, 15, "black")
    return picture


def _write(
    picture: Image.Image, at: tuple[int, int], text: str, size: int, colour: str,
    anchor: str = "mm", room: int | None = None,
) -> None:  # fmt: skip
    """On one line; smaller, and then shorter, if it would not fit into `room` pixels, by default
    the picture's width.
    """
    room = room or picture.width
    text = flat(text)[:LONGEST]
    if (width := _font(size).getlength(text)) > room:
        size = max(min(size, SMALLEST), int(size * room / width))
    while len(text) > 2 and _font(size).getlength(text) > room:
        text = f"{text[:-2]}…"
    ImageDraw.Draw(picture).text(at, text, colour, _font(size), anchor)


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _zoomed(tiles: Any, side: int) -> Any:
    """Whole times as large, to about `side` pixels."""
    zoom = max(1, round(side / max(tiles.shape[1:3])))
    return tiles.repeat(zoom, 1).repeat(zoom, 2)


def _with_room(tiles: Pixels, above: int, below: int, sides: int) -> Pixels:
    """Paper around each tile."""
    is_colour = tiles.ndim == 4
    room = [(0, 0), (above, below), (sides, sides), *([(0, 0)] if is_colour else [])]
    return np.pad(tiles, room, constant_values=255 if is_colour else 0)


def _grid(tiles: Pixels, columns: int) -> Pixels:
    """The tiles side by side, row by row; what is missing of the last row is paper."""
    rows = -(-len(tiles) // columns)
    height, width, *colours = tiles.shape[1:]
    shape = (rows * columns, height, width, *colours)
    whole = np.full(shape, 255 if colours else 0, np.uint8)
    whole[: len(tiles)] = tiles
    rows_of = whole.reshape(rows, columns, height, width, *colours).swapaxes(1, 2)
    return rows_of.reshape(rows * height, columns * width, *colours)
