"""Images with nothing on them: blank paper and noise of many sorts. For measuring alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scenes import fall_off, lined, vignette
from scipy.ndimage import gaussian_filter, zoom

Array = NDArray[np.floating]
Random = np.random.Generator
Shape = tuple[int, int]  # height and width


def _flat(low: float, high: float) -> Callable[[Shape, Random], Array]:
    return lambda shape, random: np.full(shape, random.uniform(low, high))


def _paper(shape: Shape, random: Random) -> Array:
    return random.uniform(150, 255, size=3) + np.zeros((*shape, 1))


def _grainy(shape: Shape, random: Random) -> Array:
    return random.uniform(20, 235) + random.normal(0, random.uniform(1, 5), shape)


def _shaded(shape: Shape, random: Random) -> Array:
    paper = _paper(shape, random)
    dim = (
        vignette(paper, random) if random.random() < 0.5 else paper * fall_off(shape, 0.45, random)
    )
    return dim + random.normal(0, random.uniform(0, 4), (*shape, 1))


def _squared(shape: Shape, random: Random) -> Array:
    return lined((18, 40), random, shape)


def _gaussian(shape: Shape, random: Random) -> Array:
    return random.normal(random.uniform(80, 180), random.uniform(15, 80), shape)


def _uniform(shape: Shape, random: Random) -> Array:
    return random.uniform(0, 255, (*shape, 3) if random.random() < 0.5 else shape)


def _salt_and_pepper(shape: Shape, random: Random) -> Array:
    values, share = random.random(shape), random.uniform(0.02, 0.4)
    return np.where(values < share / 2, 0, np.where(values < share, 255, random.uniform(60, 200)))


def _smooth(shape: Shape, random: Random) -> Array:
    field = gaussian_filter(random.standard_normal(shape), random.uniform(4, 40))
    return _stretched(field)


def _stripes(shape: Shape, random: Random) -> Array:
    y, x = np.indices(shape)
    angle, period = random.uniform(0, np.pi), random.uniform(6, 80)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    return _stretched(np.sign(wave) if random.random() < 0.5 else wave)


def _checkerboard(shape: Shape, random: Random) -> Array:
    y, x = np.indices(shape) // random.integers(8, 80)
    return _stretched((x + y) % 2.0)


def _gradient(shape: Shape, random: Random) -> Array:
    y, x = np.indices(shape)
    ramp = np.hypot(x - random.uniform(0, shape[1]), y - random.uniform(0, shape[0]))
    linear = x * random.uniform(-1, 1) + y * random.uniform(-1, 1)
    return _stretched(ramp if random.random() < 0.5 else linear)


def _texture(shape: Shape, random: Random) -> Array:
    """Coloured detail of every size, as grass, cloth or clouds have."""
    falls, total = random.uniform(0.5, 1), np.zeros((*shape, 3))
    for octave in range(1, 8):
        coarse = random.standard_normal((2**octave, 2**octave, 3)) * 2 ** (-octave * falls)
        coarse = 0.8 * coarse.mean(2, keepdims=True) + 0.2 * coarse
        total += zoom(coarse, (shape[0] / 2**octave, shape[1] / 2**octave, 1), order=1)
    return _stretched(total)


def _stretched(field: Array) -> Array:
    stretched: Array = (field - field.min()) / np.ptp(field) * 255
    return stretched


BLANK: dict[str, Callable[[Shape, Random], Array]] = {
    "white": _flat(255, 255),
    "grey": _flat(30, 254),
    "black": _flat(0, 0),
    "coloured": _paper,
    "grainy": _grainy,
    "shaded": _shaded,
    "squared": _squared,
}
NOISE: dict[str, Callable[[Shape, Random], Array]] = {
    "gaussian": _gaussian,
    "uniform": _uniform,
    "salt and pepper": _salt_and_pepper,
    "smooth": _smooth,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "gradient": _gradient,
    "texture": _texture,
}
