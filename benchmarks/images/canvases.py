"""MNIST digits as image files one might have: enlarged and drawn somewhere onto a large canvas.

H W are pixels of the canvas, 3 its colours; ink is 0 (paper) to 1.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Random = np.random.Generator
SIDES = (300, 901)  # of a canvas, drawn apart for width and height
HEIGHTS = (100, 401)  # of MNIST's box of 20x20
UNDO = {  # EXIF's orientation: how its pixels must be stored
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
ORIENTATION = 0x0112


def draw(kind: str, digit_HW: Bytes, seed: tuple[int, ...]) -> bytes:
    """An encoded image of one of KINDS; the same seed draws the same one."""
    random = np.random.default_rng(seed)
    return KINDS[kind](_placed(digit_HW, random), random)


def white_paper(ink_HW: Floats, random: Random) -> bytes:
    return encoded(_drawn(ink_HW, _colour(random, 225, 255), _colour(random, 0, 110)))


def black(ink_HW: Floats, random: Random) -> bytes:
    return encoded(_drawn(ink_HW, _colour(random, 0, 25), _colour(random, 190, 255)))


def shaded(ink_HW: Floats, random: Random) -> bytes:
    """A photo: light falls off to 45 % from one side to the other."""
    scene = _drawn(ink_HW, *_photographed(random)) * light_from_one_side(ink_HW.shape, random)
    return encoded(_through_a_lens(scene, random, noise=(2, 5)), "JPEG", quality=90)


def vignette(ink_HW: Floats, random: Random) -> bytes:
    scene = _drawn(ink_HW, *_photographed(random)) * dark_corners(ink_HW.shape, random)
    return encoded(_through_a_lens(scene, random, noise=(8, 12)), "JPEG", quality=95)


def squared_paper(ink_HW: Floats, random: Random) -> bytes:
    paper, ink = _colour(random, 225, 255), _colour(random, 0, 110)
    return encoded(_drawn(ink_HW, ruled(ink_HW.shape, paper, paper - ink, random), ink))


def jpeg_30(ink_HW: Floats, random: Random) -> bytes:
    pixels = _drawn(ink_HW, _colour(random, 200, 255), _colour(random, 0, 110))
    return encoded(pixels, "JPEG", quality=30)


def exif(ink_HW: Floats, random: Random) -> bytes:
    """A camera held in one of the eight ways; its file says which."""
    pixels, orientation = _drawn(ink_HW, *_photographed(random)), int(random.integers(1, 9))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if orientation in UNDO:
        image = image.transpose(UNDO[orientation])
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=tags)
    return file.getvalue()


def transparent(ink_HW: Floats, random: Random) -> bytes:
    """Dark or light ink; what the colour is where nothing shows is up to the program that saved."""
    ink = _colour(random, *((0, 110) if random.random() < 0.5 else (190, 255)))
    alpha = (ink_HW * 255).astype(np.uint8)
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = ink, alpha
    hidden = [
        np.zeros(3),
        np.full(3, 255),
        random.integers(256, size=3),
        random.integers(256, size=(*alpha.shape, 3)),
    ][random.integers(4)]
    pixels[..., :3] = np.where(alpha[..., None] == 0, hidden, pixels[..., :3])
    return encoded(pixels)


KINDS: dict[str, Callable[[Floats, Random], bytes]] = {
    "white paper": white_paper,
    "black": black,
    "linear shading": shaded,
    "vignette": vignette,
    "squared paper": squared_paper,
    "JPEG 30": jpeg_30,
    "EXIF": exif,
    "transparent": transparent,
}


def encoded(pixels: NDArray[np.generic], form: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    if form == "PNG":
        options = {"compress_level": 1}  # the default takes longer than all the rest
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, form, **options)
    return file.getvalue()


def light_from_one_side(shape: tuple[int, ...], random: Random) -> Floats:
    """(H, W, 1), from 1 down to 0.45."""
    y, x = np.indices(shape, np.float32)
    angle = random.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    along = (along - along.min()) / np.ptp(along)
    light: Floats = (1 - 0.55 * along)[..., None].astype(np.float32)
    return light


def dark_corners(shape: tuple[int, ...], random: Random) -> Floats:
    """(H, W, 1), from 1 in the middle down to 0.4."""
    y, x = np.indices(shape, np.float32)
    height, width = shape
    middle = random.uniform(0.4, 0.6, size=2)
    away = (x / width - middle[0]) ** 2 + (y / height - middle[1]) ** 2
    light: Floats = (1 - 0.6 * away / away.max())[..., None].astype(np.float32)
    return light


def ruled(shape: tuple[int, ...], paper: Floats, contrast: Floats, random: Random) -> Floats:
    """(H, W, 3): squares of 18 to 40 pixels in pale blue or grey, at times a little askew."""
    y, x = np.indices(shape, np.float32)
    angle = np.radians(random.uniform(-2, 2)) * (random.random() < 0.5)
    period, width = random.uniform(18, 40), random.uniform(1, 3)
    line = np.zeros(shape, np.float32)
    for along in (x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)):
        away = np.abs((along + random.uniform(0, period)) % period - period / 2)
        line = np.maximum(line, (width / 2 + 0.5 - away).clip(0, 1))
    absorbs = np.array([1, 0.8, 0.45] if random.random() < 0.5 else [1, 1, 1], np.float32)
    depth = random.uniform(0.15, 0.35) * contrast.mean() * absorbs
    pixels: Floats = (paper - line[..., None] * depth).astype(np.float32)
    return pixels


def _placed(digit_HW: Bytes, random: Random) -> Floats:
    """Ink on a canvas, at least 8 pixels from each edge."""
    side = round(28 / 20 * random.integers(*HEIGHTS))
    smooth = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[random.integers(2)]
    large = Image.fromarray(digit_HW.astype(np.float32) / 255).resize((side, side), smooth)
    ink = np.asarray(large).clip(0, 1)
    ys, xs = np.nonzero(ink > 0.02)
    ink = ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    canvas_shape = [max(int(random.integers(*SIDES)), length + 16) for length in ink.shape]
    canvas = np.zeros(canvas_shape, np.float32)
    top, left = (
        int(random.integers(8, room - length - 7))
        for room, length in zip(canvas_shape, ink.shape, strict=True)
    )
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _colour(random: Random, low: int, high: int) -> Floats:
    """Not far from grey."""
    level = random.uniform(low, high) + random.uniform(-12, 12, size=3)
    return level.clip(low, high).astype(np.float32)


def _photographed(random: Random) -> tuple[Floats, Floats]:
    """Coloured paper, and ink of 15 to 45 % of its brightness."""
    paper = (random.uniform(190, 250) * random.uniform(0.8, 1, size=3)).astype(np.float32)
    ink = (random.uniform(0.15, 0.45) * paper * random.uniform(0.7, 1, size=3)).astype(np.float32)
    return paper, ink


def _drawn(ink_HW: Floats, paper: Floats, ink: Floats) -> Floats:
    share = ink_HW[..., None]
    pixels: Floats = paper * (1 - share) + ink * share
    return pixels


def _through_a_lens(pixels: Floats, random: Random, noise: tuple[int, int]) -> Floats:
    """Slightly out of focus, then the sensor's noise."""
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.6, 2)))
    grain = random.standard_normal(pixels.shape, np.float32) * random.uniform(*noise)
    seen: Floats = np.asarray(image, np.float32) + grain
    return seen
