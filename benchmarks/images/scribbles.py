"""What is no digit and no letter: scribbles, and what has nothing on it. For measuring alone.

A stroke is (points, 2): x and y in a unit of its own.
"""

from collections.abc import Callable, Sequence

import numpy as np
from nondigits import Sample
from PIL import Image, ImageDraw
from scenes import encoded
from scipy.interpolate import make_interp_spline
from textures import BLANK, NOISE, Array, Random, Shape


def one(group: str, random: Random) -> Sample:
    kind = list(GROUPS[group])[random.integers(len(GROUPS[group]))]
    height, width = map(int, random.integers(200, 601, size=2))
    return Sample(encoded(GROUPS[group][kind]((height, width), random)), kind)


def _spline(points: Array) -> Array:
    smooth: Array = make_interp_spline(np.arange(len(points)), points)(
        np.linspace(0, len(points) - 1, 40 * len(points))
    )
    return smooth


def _curve(random: Random) -> list[Array]:
    """Ten turns or more: fewer may look like a digit."""
    return [_spline(random.random((random.integers(10, 18), 2)))]


def _strokes(random: Random) -> list[Array]:
    return [_spline(random.random((4, 2))) for _ in range(random.integers(4, 9))]


def _loops(random: Random) -> list[Array]:
    turns, size = random.uniform(4, 9), random.uniform(0.1, 0.3)
    t = np.linspace(0, 1, 600)
    x, y = np.cos(2 * np.pi * turns * t), np.sin(2 * np.pi * turns * t)
    return [np.stack([t + size * x, size * y + random.uniform(-0.5, 0.5) * t], 1)]


def _zigzag(random: Random) -> list[Array]:
    n = int(random.integers(7, 20))
    points = np.stack([np.arange(n) / n, np.arange(n) % 2 * random.uniform(0.3, 1)], 1)
    return [points + random.normal(0, 0.03, points.shape)]


def _crossed_out(random: Random) -> list[Array]:
    """Back and forth until whatever was there is hidden."""
    n = int(random.integers(25, 60))
    return [np.stack([np.arange(n) / n, np.arange(n) % 2 + random.normal(0, 0.15, n)], 1)]


def _tick(random: Random) -> list[Array]:
    corner = np.array([random.uniform(0.2, 0.4), 1])
    ends = np.array([[0, random.uniform(0.5, 0.75)], [1, random.uniform(0, 0.3)]])
    return [np.stack([ends[0], corner, ends[1]])]


def _dots(random: Random) -> list[Array]:
    return [point + np.zeros((2, 2)) for point in random.random((random.integers(3, 30), 2))]


def _polygon(random: Random) -> list[Array]:
    """Sides that cross: a round one is a 0."""
    points = random.random((random.integers(5, 10), 2))
    return [np.concatenate([points, points[:1]])]


def _smiley(random: Random) -> list[Array]:
    t = np.linspace(0, 2 * np.pi, 80)
    ring = np.stack([np.cos(t), np.sin(t)], 1)
    mouth = 0.55 * ring[5:36] * [1, random.uniform(0.5, 1)]
    eyes = [0.08 * ring + [side * random.uniform(0.25, 0.45), -0.35] for side in (-1, 1)]
    return [ring, mouth, *eyes]


def _star(random: Random) -> list[Array]:
    t = np.arange(6) * 4 * np.pi / 5 + random.uniform(0, 2 * np.pi)
    return [np.stack([np.cos(t), np.sin(t)], 1) + random.normal(0, 0.05, (6, 2))]


def _house(random: Random) -> list[Array]:
    roof = random.uniform(0.3, 0.6)
    line = [[0, 1], [0, roof], [0.5, 0], [1, roof], [1, 1], [0, 1], [1, roof], [0, roof], [1, 1]]
    return [np.array(line) + random.normal(0, 0.02, (9, 2))]


def _hatching(random: Random) -> list[Array]:
    n = int(random.integers(4, 9))
    across = [np.array([[0, i / n], [1, i / n]]) for i in range(n)]
    lines = across + [stroke[:, ::-1] for stroke in across]
    return [stroke + random.normal(0, 0.02, (2, 2)) for stroke in lines]


def _blob(random: Random) -> list[Array]:
    t = np.arange(9) * 2 * np.pi / 8
    away = random.uniform(0.5, 1, 9)
    away[8] = away[0]
    return [_spline(np.stack([away * np.cos(t), away * np.sin(t)], 1))]


def _inked(
    strokes_of: Callable[[Random], Sequence[Array]], filled: bool = False
) -> Callable[[Shape, Random], Array]:
    """A pen of 2 to 9 % of the drawing's size; drawn twice as large, for smooth edges."""

    def drawn(shape: Shape, random: Random) -> Array:
        strokes, size = strokes_of(random), min(shape) * random.uniform(0.8, 1.5)
        width = max(3, round(size * random.uniform(0.02, 0.09)))
        points = np.concatenate(strokes)
        scale = size / np.ptp(points, axis=0).max()
        room = 2 * np.array(shape[::-1]) - scale * np.ptp(points, axis=0) - 2 * width
        offset = width + room * random.random(2)
        page = Image.new("L", (2 * shape[1], 2 * shape[0]))
        pen = ImageDraw.Draw(page)
        for stroke in strokes:
            way = [(x, y) for x, y in (stroke - points.min(0)) * scale + offset]
            if filled:
                pen.polygon(way, fill=255)
            pen.line(way, fill=255, width=width, joint="curve")
            for x, y in (way[0], way[-1]):
                pen.circle((x, y), width / 2, fill=255)
        ink = np.asarray(page.resize(shape[::-1], Image.Resampling.BOX)) / 255
        paper, colour = random.uniform(200, 255), random.uniform(0, 110)
        pixels = paper + (colour - paper) * ink
        return pixels if random.random() < 0.7 else 255 - pixels

    return drawn


SCRIBBLES = {
    "curve": _inked(_curve),
    "strokes": _inked(_strokes),
    "loops": _inked(_loops),
    "zigzag": _inked(_zigzag),
    "crossed out": _inked(_crossed_out),
    "tick": _inked(_tick),
    "dots": _inked(_dots),
    "polygon": _inked(_polygon),
    "filled polygon": _inked(_polygon, filled=True),
    "smiley": _inked(_smiley),
    "star": _inked(_star),
    "house": _inked(_house),
    "hatching": _inked(_hatching),
    "blob": _inked(_blob, filled=True),
}
GROUPS = {"blank": BLANK, "noise": NOISE, "scribbles": SCRIBBLES}
