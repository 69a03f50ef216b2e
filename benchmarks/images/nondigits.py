"""What is no digit: letters of the installed fonts, which are split by family into a half for
choosing a threshold and one for measuring it.
"""

import hashlib
import io
import logging
import re
import string
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont, TTLibError  # type: ignore[import-untyped]
from matplotlib.font_manager import findSystemFonts
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

LOOK_LIKE_DIGITS = "BDGIJOQSZbgijloqsyz"
LETTERS = "".join(c for c in string.ascii_letters if c not in LOOK_LIKE_DIGITS)
HALVES = ("choosing", "measuring")
CLONES = {  # how names begin: one design under many names belongs in one half
    "base 35": "aerial c059 free liberation nimbus p052 texgyre thymes tymes urw z003",
    "vera": "bitstreamvera dejavu hack veran",
    "lato": "carlito",
    "noto": "droid opensans",
    "api": "ipa",  # two phonetic alphabets with the same Latin letters
    **{name: name for name in ("beteckna", "cabin", "gentium", "nanum", "ocra", "opendyslexic")},
}
STRANGE = re.compile(  # letters of other alphabets, pictures, blackletter, dots or ruled paper
    "math|symbol|dingbat|d050000l|music|emoji|initials|ornament|alfa|ellhnikh|isabella|wargames|"
    "guiada|pautada|punteada"
)

logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells of small damage in good fonts


@dataclass(frozen=True)
class Sample:
    """An encoded image; `kind` is the letter, digit or sort of thing, `family` that of its font."""

    data: bytes
    kind: str
    family: str = ""


def half(family: str) -> str:
    """One of HALVES: the same on every machine, whatever else is installed."""
    return HALVES[hashlib.sha256(_design(family).encode()).digest()[0] % 2]


def fonts(half: str) -> list[Path]:
    """The installed fonts of one half that have every Latin letter and digit."""
    return [path for paths in families(half).values() for path in paths]


@cache
def families(of_half: str) -> dict[str, list[Path]]:
    """Fonts by design, both sorted by name."""
    if of_half not in HALVES:
        raise ValueError(f"{of_half}: expected one of {HALVES}")
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(map(Path, findSystemFonts()), key=lambda path: path.name):
        if path.suffix.lower() in (".ttf", ".otf") and _is_latin(path):
            family = _family(path)
            if half(family) == of_half:
                found[_design(family)].append(path)
    return dict(sorted(found.items()))


def letters(half: str, n: int, seed: int) -> list[Sample]:
    """`n` letters that look like no digit, each equally often, from designs drawn equally often."""
    return typed(LETTERS, half, n, seed)


def typed(characters: str, half: str, n: int, seed: int) -> list[Sample]:
    random, known = np.random.default_rng(seed), families(half)
    if not known:
        raise FileNotFoundError(f"no font of the {half} half is installed")
    samples: list[Sample] = []
    while len(samples) < n:
        character = characters[len(samples) % len(characters)]
        design = list(known)[random.integers(len(known))]
        path = known[design][random.integers(len(known[design]))]
        if character == "d" and _has_only_capitals(path):
            continue
        page = _page(glyph(path, character, int(random.integers(60, 301))), random)
        samples.append(Sample(png(page), character, design))
    return samples


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _page(glyph: Image.Image, random: np.random.Generator) -> Image.Image:
    """White on black or black on white, each margin of its own."""
    left, top, right, bottom = map(int, random.integers(8, 90, size=4))
    page = Image.new("L", (glyph.width + left + right, glyph.height + top + bottom))
    page.paste(glyph, (left, top))
    return page if random.random() < 0.5 else ImageOps.invert(page)


def glyph(path: Path, character: str, size: int) -> Image.Image:
    """White ink on black, cropped to the ink; `size` in pixels of the font's em."""
    font = ImageFont.truetype(path, size)
    left, top, right, bottom = map(round, font.getbbox(character))
    image = Image.new("L", (right - left + 2 * size, bottom - top + 2 * size))
    ImageDraw.Draw(image).text((size - left, size - top), character, fill=255, font=font)
    return image.crop(image.getbbox() or (0, 0, 1, 1))


@cache
def _family(path: Path) -> str:
    return (ImageFont.truetype(path, 20).getname()[0] or path.stem).lower()


def _design(family: str) -> str:
    plain = re.sub(r"\W|_", "", family.lower())
    for design, beginnings in CLONES.items():
        if plain.startswith(tuple(beginnings.split())):
            return design
    return re.split(r"[\W_]", family.lower())[0]


@cache
def _is_latin(path: Path) -> bool:
    try:
        with TTFont(path, lazy=True) as font:
            has = font.getBestCmap() or {}
        name = f"{_family(path)} {path.stem}".lower()
    except (TTLibError, OSError):
        return False  # damaged
    if STRANGE.search(name) or not all(ord(c) in has for c in string.ascii_letters + string.digits):
        return False
    glyphs = [_thumbnail(path, c) for c in "dDeEhH"]
    pairs = zip(glyphs[::2], glyphs[1::2], strict=True)
    return all(np.abs(small - capital).mean() > 0.1 for small, capital in pairs)


def _thumbnail(path: Path, character: str) -> NDArray[np.float64]:
    """0 to 1, stretched to 24x24."""
    return np.asarray(glyph(path, character, 60).resize((24, 24)), dtype=np.float64) / 255


@cache
def _has_only_capitals(path: Path) -> bool:
    """Handwriting often has, in two versions; its d is a D, which may be read as 0."""
    return bool(_thumbnail(path, "d")[:6, :10].mean() > 0.2)  # left of the ascender
