"""Pictures of digits as people take them, for choosing how pictures are read and what "not sure"
is. What it is measured with is drawn by other code. Shapes: H W pixels; ink and light in [0, 1].
"""

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Random = np.random.Generator
Grey = NDArray[np.float64]
Quad = NDArray[np.float64]  # (4, 2): corners x, y; upper left, then clockwise


def one(kind: str, digit_HW: NDArray[np.uint8], seed: int) -> bytes:
    random = np.random.default_rng(seed)
    return KINDS[kind](_stroke(digit_HW, int(random.integers(120, 320))), random)


def _stroke(digit_HW: NDArray[np.uint8], side: int) -> Grey:
    """A 28x28 digit as ink with sharp edges, of `side` pixels."""
    large = Image.fromarray(digit_HW).resize((side, side), Image.Resampling.BICUBIC)
    smooth = ndimage.gaussian_filter(np.asarray(large) / 255, side / 90)
    return np.clip((smooth - 0.5) * side / 12 + 0.5, 0, 1)


def _turned(ink: Grey, random: Random) -> Grey:
    degrees = random.choice([-1, 1]) * random.uniform(20, 35)
    return np.clip(ndimage.rotate(ink, degrees, order=1), 0, 1)


def _outlined(ink: Grey, random: Random) -> Grey:
    width = max(1, round(ink.shape[0] * random.uniform(0.008, 0.018)))
    solid = ink > 0.5
    edge = ndimage.binary_dilation(solid, iterations=width) & ~ndimage.binary_erosion(
        solid, iterations=width
    )
    lines: Grey = ndimage.gaussian_filter(edge.astype(np.float64), 0.7)
    return lines


def _dashed(ink: Grey, random: Random) -> Grey:
    """Gaps across the strokes: by distance along a direction that changes over the page."""
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]] / ink.shape[0]
    angle, period = random.uniform(0, np.pi), random.uniform(0.09, 0.16)
    waves = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    waves += np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
    dashes: Grey = ink * np.clip(waves * 4 + random.uniform(1.5, 3.5), 0, 1)
    return dashes


def _page(ink: Grey, random: Random, room: tuple[float, float] = (0.15, 0.9)) -> Grey:
    """Light: paper with the ink somewhere on it."""
    left, upper, right, lower = (int(ink.shape[0] * side) for side in random.uniform(*room, 4))
    padded = np.pad(ink, ((upper, lower), (left, right)))
    dark = random.uniform(0.05, 0.5)
    grain = random.normal(0, random.uniform(0, 0.012), padded.shape)
    return random.uniform(0.75, 1) * (1 - padded * (1 - dark)) + grain


def _ruled(page: Grey, random: Random) -> Grey:
    step = int(random.uniform(0.08, 0.2) * min(page.shape))
    level, page = random.uniform(0.7, 0.9), page.copy()
    page[:: max(step, 9)] *= level
    if random.random() < 0.5:
        page[:, :: max(step, 9)] *= level
    return page


def _clouds(shape: tuple[int, int], random: Random, cells: float) -> Grey:
    """Smooth noise from 0 to 1."""
    few = [max(2, round(cells * side / max(shape))) + 1 for side in shape]
    coarse = Image.fromarray(random.random(few).astype(np.float32))
    smooth = coarse.resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float64)


def _table(shape: tuple[int, int], random: Random) -> Grey:
    """Wood, cloth or one colour, mostly darker than paper."""
    level, kind = random.uniform(0.08, 0.65), random.integers(3)
    if kind == 0:
        return np.full(shape, level)
    if kind == 1:
        cloth: Grey = level + random.uniform(0.05, 0.25) * (_clouds(shape, random, 30) - 0.5)
        return cloth
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    grain = np.sin((x * random.uniform(-1, 1) + y) * random.uniform(60, 160)
                   + 6 * _clouds(shape, random, 4))  # fmt: skip
    wood: Grey = level + 0.1 * grain
    return wood


def _laid(page: Grey, random: Random) -> Grey:
    """A sheet on a table, seen at an angle."""
    height, width = page.shape
    wide, high = (int(side * random.uniform(1.2, 1.9)) for side in (width, height))
    x, y = random.uniform(0.03, 0.97, 2) * (wide - width, high - height)
    bend = 0.08 * min(width, height)
    quad = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    quad += random.uniform(-bend, bend, (4, 2))
    angle = random.normal(0, 0.08)
    middle, turn = quad.mean(0), np.array([[np.cos(angle), -np.sin(angle)],
                                           [np.sin(angle), np.cos(angle)]])  # fmt: skip
    quad = (quad - middle) @ turn.T + middle
    factors = _onto(quad, width, height)
    size, way = (wide, high), Image.Transform.PERSPECTIVE
    images = (Image.fromarray(each.astype(np.float32)) for each in (page, np.ones_like(page)))
    smooth = Image.Resampling.BILINEAR
    laid, there = (np.asarray(image.transform(size, way, factors, smooth)) for image in images)
    on_table: Grey = laid * there + _table((high, wide), random) * (1 - there)
    return on_table


def _onto(quad: Quad, width: int, height: int) -> list[float]:
    """Pillow's eight factors of the view that shows a page's corners at `quad`."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return list(np.linalg.solve(np.array(rows), np.array(values)))


def _shadow(page: Grey, random: Random) -> Grey:
    """A hand's or a head's: round shapes, with soft or sharp edges."""
    y, x = np.mgrid[: page.shape[0], : page.shape[1]] / max(page.shape)
    shape = np.zeros(page.shape, bool)
    at, way = random.uniform(0, 1, 2), random.normal(0, 1, 2)
    for part in range(5):
        cx, cy = at + 0.12 * part * way / np.hypot(*way) + random.normal(0, 0.03, 2)
        shape |= np.hypot(x - cx, (y - cy) * random.uniform(0.6, 1.6)) < random.uniform(0.1, 0.3)
    softness = random.uniform(0.004, 0.03) * max(page.shape)
    soft: Grey = ndimage.gaussian_filter(shape.astype(np.float64), softness)
    return page * (1 - random.uniform(0.25, 0.6) * soft)


def _hand(page: Grey, random: Random) -> Grey:
    """The shadow of a hand that reaches in from a side."""
    high, wide = page.shape
    y, x = np.mgrid[:high, :wide] / max(page.shape)
    shape = np.zeros(page.shape, bool)
    palm, way = random.uniform(0.1, 0.9, 2) * (high, wide) / max(page.shape), random.uniform(0, 6.3)
    palm = palm + 0.35 * np.array([np.sin(way), np.cos(way)])
    shape |= np.hypot(y - palm[0], x - palm[1]) < random.uniform(0.14, 0.22)
    for finger in range(5):
        angle = way + np.pi + 0.28 * (finger - 2) + random.normal(0, 0.05)
        for along in np.linspace(0.1, random.uniform(0.3, 0.5), 30):
            cy, cx = palm + along * np.array([np.sin(angle), np.cos(angle)])
            shape |= np.hypot(y - cy, x - cx) < random.uniform(0.03, 0.045)
    softness = random.uniform(0.003, 0.02) * max(page.shape)
    soft: Grey = ndimage.gaussian_filter(shape.astype(np.float64), softness)
    return page * (1 - random.uniform(0.25, 0.6) * soft)


def _underlined(ink: Grey, random: Random) -> Grey:
    """Near the digit, or through its lower end."""
    under = np.pad(ink, ((0, ink.shape[0] // 4), (0, 0)))
    lowest = int(np.flatnonzero((ink > 0.5).any(1))[-1])
    y = lowest + int(random.uniform(-0.04, 0.15) * ink.shape[0])
    left, right = sorted(random.uniform(0, ink.shape[1], 2).astype(int))
    if right - left < 0.4 * ink.shape[1]:
        left, right = 0, ink.shape[1]
    width = max(2, round(ink.shape[0] * random.uniform(0.012, 0.04)))
    under[y : y + width, left:right] = 1
    return under


def _falling(page: Grey, random: Random) -> Grey:
    y, x = np.mgrid[: page.shape[0], : page.shape[1]] / max(page.shape)
    angle = random.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    lit: Grey = page * (1 - random.uniform(0.1, 0.5) * (along - along.min()) / np.ptp(along))
    return lit


def _glare(page: Grey, random: Random) -> Grey:
    y, x = np.mgrid[: page.shape[0], : page.shape[1]] / max(page.shape)
    for _ in range(random.integers(1, 3)):
        cx, cy = random.uniform(0, 1, 2)
        spread = random.uniform(0.06, 0.2)
        spot = np.exp(-(((x - cx) / spread) ** 2 + ((y - cy) / spread / 0.7) ** 2))
        page = page + spot * random.uniform(0.3, 0.9) * (1 - page * 0.3)
    return page


def _crumpled(page: Grey, random: Random) -> Grey:
    """Facets, each lit by its own slope."""
    points = random.uniform(0, 1, (int(random.integers(12, 40)), 2)) * page.shape
    y, x = np.mgrid[: page.shape[0], : page.shape[1]]
    nearest = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], axis=0)
    slopes = random.normal(0, 1, (len(points), 2)) / max(page.shape)
    levels = random.normal(0, 0.06, len(points))[nearest]
    levels = levels + 0.25 * (slopes[nearest, 0] * (y - points[nearest, 0])
                              + slopes[nearest, 1] * (x - points[nearest, 1]))  # fmt: skip
    folds: Grey = ndimage.gaussian_filter(levels, 1.5)
    return page * (1 + folds)


def _camera(page: Grey, random: Random, worst: int = 40) -> bytes:
    blurred = ndimage.gaussian_filter(page, random.uniform(0.3, 1.5))
    noisy = blurred + random.normal(0, random.uniform(0.003, 0.03), page.shape)
    return _encoded(noisy, "JPEG", quality=int(random.integers(worst, 95)))


def _encoded(page: Grey, kind: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.clip(page, 0, 1) * 255)).save(file, kind, **options)
    return file.getvalue()


def _board(ink: Grey, random: Random) -> Grey:
    """Chalk."""
    chalk = 1 - _page(ink * (0.6 + 0.4 * random.random(ink.shape)), random)
    return np.clip(chalk + random.uniform(0.05, 0.2), 0, 1)


def _tight(ink: Grey) -> Grey:
    rows, columns = np.flatnonzero((ink > 0.5).any(1)), np.flatnonzero((ink > 0.5).any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def several(digits_NHW: NDArray[np.uint8], apart: bool, seed: int) -> bytes:
    """Two digits or more in a row, `apart` or touching."""
    random = np.random.default_rng(seed)
    inks = [_tight(_stroke(each, int(random.integers(150, 200)))) for each in digits_NHW]
    step = random.uniform(0.1, 0.6) if apart else random.uniform(-0.12, -0.02)
    gaps = [round(step * ink.shape[1]) if apart else round(step * 150) for ink in inks]
    high, wide = max(ink.shape[0] for ink in inks) + 30, sum(ink.shape[1] for ink in inks)
    row, x = np.zeros((high, wide + sum(map(abs, gaps)) + 60)), 30
    for ink, gap in zip(inks, gaps, strict=True):
        y = int(random.integers(0, high - ink.shape[0]))
        place = row[y : y + ink.shape[0], x : x + ink.shape[1]]
        np.maximum(place, ink, out=place)
        x += ink.shape[1] + gap
    return _camera(_page(row[:, : x + 30], random, (0.1, 0.4)), random)


def text(paths: Sequence[Path], seed: int) -> bytes:
    """A part of a page of print: words of letters, mostly."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (600, 400), 255)
    font = ImageFont.truetype(paths[int(random.integers(len(paths)))], int(random.integers(14, 60)))
    letters = list("abcdefghijklmnopqrstuvwxyz" * 8 + "ABCDEFGHIJ0123456789.,;-" + " " * 45)
    lines = "\n".join("".join(random.choice(letters, 60)) for _ in range(40))
    ImageDraw.Draw(image).multiline_text((-40, -30), lines, fill=0, font=font)
    page = np.asarray(image) / 255 * random.uniform(0.8, 1)
    left, upper = (int(random.integers(0, side // 2)) for side in (600, 400))
    wide, high = (int(random.integers(60, side // 2)) for side in (600, 400))
    return _camera(page[upper : upper + high, left : left + wide], random)


def crop(photo: Path, seed: int) -> bytes:
    """A part of a photograph."""
    random, image = np.random.default_rng(seed), _photo(photo)
    side = int(random.uniform(0.08, 0.9) * min(image.size))
    left, upper = (int(random.integers(0, each - side + 1)) for each in image.size)
    part = image.crop((left, upper, left + side, upper + side))
    part.thumbnail((400, 400))
    file = io.BytesIO()
    part.save(file, "JPEG", quality=int(random.integers(50, 95)))
    return file.getvalue()


@lru_cache(4)
def _photo(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        rgba = opened.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


Kind = Callable[[Grey, Random], bytes]
KINDS: dict[str, Kind] = {
    "scan": lambda ink, r: _encoded(_page(ink, r)),
    "phone": lambda ink, r: _camera(_falling(_laid(_page(ink, r), r), r), r),
    "phone, shadow": lambda ink, r: _camera(_shadow(_laid(_page(ink, r), r), r), r),
    "negative": lambda ink, r: _camera(1 - _falling(_laid(_page(ink, r), r), r), r),
    "fills": lambda ink, r: _camera(_shadow(_page(ink, r), r), r),
    "hand": lambda ink, r: _camera(_hand(_page(ink, r), r), r),
    "underlined": lambda ink, r: _camera(_page(_underlined(ink, r), r), r),
    "falling": lambda ink, r: _camera(_falling(_page(ink, r), r), r),
    "glare": lambda ink, r: _camera(_glare(_page(ink, r), r), r),
    "crumpled": lambda ink, r: _camera(_crumpled(_page(ink, r), r), r),
    "ruled": lambda ink, r: _camera(_ruled(_page(ink, r), r), r),
    "ruled, phone": lambda ink, r: _camera(_laid(_ruled(_page(ink, r), r), r), r),
    "chalk": lambda ink, r: _camera(_falling(_board(ink, r), r), r),
    "tight": lambda ink, r: _camera(_page(_tight(ink), r, (0.0, 0.08)), r),
    "turned": lambda ink, r: _camera(_page(_turned(ink, r), r), r),
    "outline": lambda ink, r: _encoded(_page(_outlined(ink, r), r)),
    "dashed": lambda ink, r: _camera(_page(_dashed(ink, r), r), r),
    "far": lambda ink, r: _camera(_page(ink, r, (2.0, 4.0)), r, worst=70),
}  # fmt: skip
