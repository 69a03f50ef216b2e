"""Scribbles, shapes and textures that are no digit, for choosing what "not sure" is. What it is
measured with is drawn by other code.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIZE = 200
Random = np.random.Generator


def several(count: int, seed: int) -> Iterator[bytes]:
    random = np.random.default_rng(seed)
    for number in range(count):
        yield one(KINDS[number % len(KINDS)], random)


def one(kind: Callable[[Random], Image.Image], random: Random) -> bytes:
    page = kind(random)
    if random.random() < 0.5:
        page = page.point([255 - value for value in range(256)])
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _page() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("L", (SIZE, SIZE))
    return page, ImageDraw.Draw(page)


def _curve(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Through the points, rounded (Catmull-Rom)."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12)[:, None]
    out = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        terms = (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        out.append(terms / 2)
    return [(float(x), float(y)) for x, y in np.concatenate(out)]


def _stroke(draw: ImageDraw.ImageDraw, points: NDArray[np.float64], width: int, bent: bool) -> None:
    line = _curve(points) if bent else [(float(x), float(y)) for x, y in points]
    draw.line(line, fill=255, width=width, joint="curve")
    for x, y in (line[0], line[-1]):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)


def scribble(random: Random) -> Image.Image:
    page, draw = _page()
    for _ in range(random.integers(1, 4)):
        count = int(random.integers(5, 16))
        walk = np.cumsum(random.normal(0, random.uniform(15, 60), (count, 2)), 0) + SIZE / 2
        free = random.uniform(20, SIZE - 20, (count, 2))
        points = np.clip(walk, 8, SIZE - 8) if random.random() < 0.5 else free
        _stroke(draw, points, int(random.integers(4, 20)), bool(random.random() < 0.7))
    return page


def marks(random: Random) -> Image.Image:
    """Crosses, stars, ticks, arrows, combs: straight strokes that meet."""
    page, draw = _page()
    width, arms = int(random.integers(5, 18)), int(random.integers(2, 7))
    middle = np.array([SIZE / 2, SIZE / 2]) + random.normal(0, 15, 2)
    begin = random.uniform(0, 2 * np.pi)
    for arm in range(arms):
        angle = begin + (
            2 * np.pi * arm / arms if random.random() < 0.6 else random.uniform(0, 6.3)
        )
        end = middle + random.uniform(30, 85) * np.array([np.cos(angle), np.sin(angle)])
        start = middle + random.normal(0, random.choice([0.0, 25.0]), 2)
        _stroke(draw, np.stack([start, end]), width, bent=False)
    return page


def polygon(random: Random) -> Image.Image:
    """Filled or drawn, of three to nine corners."""
    page, draw = _page()
    corners = int(random.integers(3, 10))
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    radius = random.uniform(25, 90, corners) if random.random() < 0.7 else np.full(corners, 70.0)
    points = SIZE / 2 + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    if random.random() < 0.5:
        draw.polygon([(float(x), float(y)) for x, y in points], fill=255)
    else:
        closed = np.concatenate([points, points[:1]])
        _stroke(draw, closed, int(random.integers(4, 16)), bool(random.random() < 0.3))
    return page


def dots(random: Random) -> Image.Image:
    page, draw = _page()
    for _ in range(random.integers(2, 30)):
        (x, y), radius = random.uniform(10, SIZE - 10, 2), random.uniform(2, 24)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return page


def blob(random: Random) -> Image.Image:
    """A filled round thing: wide or flat, even or not."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    even = random.random() < 0.4
    uneven = sum(random.normal(0, 0.25 / n) * np.cos(n * angle + random.uniform(0, 6.3))
                 for n in range(2, 6))  # fmt: skip
    radius = np.clip(1 + uneven * (not even), 0.3, 2)[:, None] * random.uniform(20, 90, 2)
    if random.random() < 0.3:
        radius[:, 1] = radius[:, 0]
    return _filled(radius * np.stack([np.cos(angle), np.sin(angle)], 1), random)


def cross(random: Random) -> Image.Image:
    """A filled one of thick arms, or a star of four."""
    long, thick = random.uniform(30, 85), random.uniform(0.12, 0.6)
    corner = np.array([(thick, 1), (thick, thick), (1, thick)])
    if random.random() < 0.2:
        corner = np.array([(0, 1), (thick, thick)])
    turns = [np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), n) for n in range(4)]
    points = np.concatenate([corner @ turn for turn in turns])
    around = np.argsort(np.arctan2(points[:, 1], points[:, 0]))
    return _filled(long * points[around], random)


def _filled(points: NDArray[np.float64], random: Random) -> Image.Image:
    """Turned by any angle, and soft."""
    page, draw = _page()
    angle = random.uniform(0, 6.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed = points @ turn + SIZE / 2 + random.normal(0, 12, 2)
    draw.polygon(placed.ravel().tolist(), fill=255)
    return page.filter(ImageFilter.GaussianBlur(random.uniform(0, 6) ** 2 / 6))


def face(random: Random) -> Image.Image:
    """A ring with things in it."""
    page, draw = _page()
    draw.ellipse((25, 25, 175, 175), outline=255, width=int(random.integers(4, 14)))
    for _ in range(random.integers(1, 6)):
        (x, y), radius = random.uniform(55, 145, 2), random.uniform(4, 16)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    if random.random() < 0.7:
        draw.arc((60, 70, 140, 150), 20, 160, fill=255, width=int(random.integers(4, 12)))
    return page


def noise(random: Random) -> Image.Image:
    """Of any grain, from pixels to clouds."""
    side = int(random.choice([6, 9, 14, 28, 60, 200]))
    values: NDArray[Any] = random.random((side, side)) * random.uniform(40, 255)
    if random.random() < 0.4:
        values = 255.0 * (values > np.quantile(values, random.uniform(0.3, 0.97)))
    small = Image.fromarray(values.astype(np.uint8))
    return small.resize(
        (SIZE, SIZE), random.choice([Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
    )


def waves(random: Random) -> Image.Image:
    """Stripes, checks, ripples."""
    y, x = np.mgrid[:SIZE, :SIZE]
    angle, period = random.uniform(0, np.pi), random.uniform(8, 120)
    along = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period
    across = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period
    ripple = np.hypot(x - SIZE / 2, y - SIZE / 2) * 2 * np.pi / period
    pick = int(random.integers(3))
    values: Any = (np.sin(along), np.sin(along) * np.sin(across), np.sin(ripple))[pick]
    if random.random() < 0.5:
        values = np.sign(values)
    return Image.fromarray((127.5 * (values + 1)).astype(np.uint8))


KINDS = (
    scribble,
    scribble,
    marks,
    scribble,
    polygon,
    dots,
    scribble,
    marks,
    blob,
    blob,
    cross,
    face,
    noise,
    waves,
)
