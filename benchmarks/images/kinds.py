"""Any picture: kinds of pictures of one digit, and of none, as people take and make them. They
were frozen before reading was tuned on others. A pair is a range, from which a number is drawn.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from zlib import crc32

import nondigits
import numpy as np
import scenes
import scribbles
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scenes import Bytes, Floats, Pair, Random, drawn, encoded, grey, own_ink, paper, photo

SEED = 29
SHARE = ["/usr/share", os.environ.get("XDG_DATA_HOME", "~/.local/share")]  # where wallpapers are
PHOTOS = (  # scikit-image's, scikit-learn's, and those of Debian's plasma-workspace-wallpapers
    "astronaut brick camera chelsea china clock_motion coffee coins flower grass gravel "
    "hubble_deep_field ihc moon motorcycle_left retina rocket BytheWater ColdRipple ColorfulCups "
    "DarkestHour EveningGlow FallenLeaf Grey Kite OneStandsOut Path summer_1am"
)
DESIGNS = (  # plain fonts of the measuring half; others are decorated
    "accanthis agave allerta anonymous atari b612 because berenis breip cabin caliban cantarell "
    "caslon charis clear comfortaa courier cupola domestic dustismo eurofurence fanwood fira "
    "gnutypewriter goudy gwmonospace hermit humor ikarius induni junction junicode junkyard jura "
    "kaushan klaudia kristi libris linden manjari mekanus monofur museum nanum old osifont osp "
    "oxygen play pt quattrocento quicksand roadgeek roboto solothurn steve switzera tribun tuffy "
    "unifur vera yrsa"
)
SYMBOLS = "?!&@#$%+=*~^€<>§©®£¥°→←↑↓↔↗♥★✓∞√∑π"
BRACKETS = "()[]{}/\\|"
Test = tuple[Bytes, NDArray[np.uint8]]  # MNIST's test images and labels
Source = Callable[[Test, Random], tuple[Bytes, int]]


@dataclass(frozen=True)
class Picture:
    """An encoded image; `digit` is the right answer, None for none; `detail` says what it is."""

    data: bytes
    digit: int | None
    detail: str = ""


def picture(kind: str, i: int, test: Test) -> Picture:
    """The `i`-th of a kind, always the same."""
    random = np.random.default_rng([SEED, crc32(kind.encode()), i])
    if kind in NO_DIGITS:
        return NO_DIGITS[kind](test, random)
    source, draw = DIGITS[kind]
    digit_HW, digit = source(test, random)
    return Picture(draw(digit_HW, random), digit)


def mnist(test: Test, random: Random) -> tuple[Bytes, int]:
    i = random.integers(len(test[1]))
    return test[0][i], int(test[1][i])


def eight(test: Test, random: Random) -> tuple[Bytes, int]:
    """scikit-learn's, 8x8."""
    bunch = _eights()
    i = random.integers(len(bunch.target))
    return (bunch.images[i] * 255 / 16).round().astype(np.uint8), int(bunch.target[i])


@cache
def _eights() -> Any:
    from sklearn.datasets import load_digits  # takes a second, here alone

    return load_digits()


def typed(test: Test, random: Random) -> tuple[Bytes, int]:
    """As large in its image as MNIST's digits are in theirs."""
    digit = int(random.integers(10))
    while not (ink_HW := _glyph(str(digit), random)[0]).any():
        pass  # the font has an empty one
    glyph = Image.fromarray(ink_HW)
    glyph.thumbnail((200, 200), Image.Resampling.BICUBIC)
    page = Image.new("L", (280, 280))
    page.paste(glyph, ((280 - glyph.width) // 2, (280 - glyph.height) // 2))
    return np.asarray(page), digit


Colour = Callable[[Random, Any], Floats]  # (3,) or (H, W, 3); of a paper, by its shape, or of an
# ink, by the paper's mean colour below it
WHITE, BLACK = grey(225, 255), grey(0, 110)


def blue(random: Random, _: object) -> Floats:
    return random.uniform((25, 35, 110), (70, 85, 180)).astype(np.float32)


def blue_or_black(random: Random, _: object) -> Floats:
    return blue(random, _) if random.random() < 0.4 else grey(15, 80)(random, _)


def same_luma(random: Random, below: Floats) -> Floats:
    weights = np.array([0.299, 0.587, 0.114])
    while True:
        other = random.uniform(0, 255, size=3)
        other += (below - other) @ weights
        if other.min() >= 0 and other.max() <= 255 and np.abs(below - other).max() > 110:
            return other.astype(np.float32)


def far_from(random: Random, below: Floats) -> Floats:
    colours = [(255, 255, 255), (10, 10, 10), (230, 30, 30), (255, 225, 30), (30, 60, 220)]
    far = [c for c in colours if abs(np.mean(c) - below.mean()) > 70]
    return np.array(far[random.integers(len(far))], np.float32)


def two_tones(random: Random, shape: tuple[int, ...]) -> Floats:
    y, x = np.indices(shape, np.float32)
    angle, at = random.uniform(0, np.pi), random.uniform(0.3, 0.7, 2) * shape
    side = ((y - at[0]) * np.cos(angle) + (x - at[1]) * np.sin(angle) > 0)[..., None]
    return np.where(side, grey(215, 255)(random, None), grey(150, 205)(random, None))


def jpeg(qualities: tuple[int, int], scene: Floats, random: Random) -> bytes:
    return encoded(scene, "JPEG", quality=int(random.integers(*qualities)))


def cropped(ink_HW: Floats, random: Random) -> Floats:
    """Each edge of the picture apart: it touches the ink, or leaves up to 4 %."""
    room = random.choice([0, 0.01, 0.04], size=4) * max(ink_HW.shape)
    top, bottom, left, right = room.round().astype(int)
    return np.pad(ink_HW, ((top, bottom), (left, right)))


def cornered(ink_HW: Floats, random: Random) -> Floats:
    """A page number, as it were."""
    shape = random.uniform(600, 900, size=2).astype(int)
    room, margin = shape - ink_HW.shape, (random.uniform(0.02, 0.06, 2) * shape).astype(int)
    return scenes.put(ink_HW, shape, np.where(random.random(2) < 0.5, margin, room - margin))


@dataclass(frozen=True)
class Look:
    """How a digit is written, on what, and how the picture is taken."""

    height: Pair = (100, 400)  # of MNIST's box of 20x20, in pixels
    pen: Pair | None = None  # its width by the height; None for MNIST's own strokes
    mark: Callable[[Floats, Random], Floats] = lambda ink_HW, random: ink_HW
    dashes: bool = False
    share: Pair = (0.3, 0.8)  # of the page's shorter side
    shapes: tuple[float, ...] = (0.75, 4 / 3, 1, 1.414, 0.707)  # the page's width by its height
    place: Callable[[Floats, Random], Floats] | None = None  # instead of somewhere on a page
    spoil: Callable[[Floats, Random], Floats] = lambda page_HW, random: page_HW
    paper: Colour = WHITE
    ink: Colour = BLACK
    change: Callable[[Floats, Random], Floats] = lambda scene, random: scene
    light: Pair = (1, 1)  # what is left of it at one side
    save: Callable[[Floats, Random], bytes] = lambda scene, random: encoded(scene)

    def page(self, digit_HW: Bytes, random: Random) -> Floats:
        height = random.uniform(*self.height)
        if self.pen is None:
            ink = own_ink(digit_HW, height)
        else:
            width = random.uniform(*self.pen)
            ink = scenes.pen_ink(digit_HW, height, width, random, self.dashes)
        ink = self.mark(ink, random)
        if self.place:
            return self.place(ink, random)
        share, wide = random.uniform(*self.share), random.choice(self.shapes)
        return self.spoil(scenes.on_page(ink, share, wide, random), random)

    def __call__(self, digit_HW: Bytes, random: Random) -> bytes:
        page = self.page(digit_HW, random)
        paper = self.paper(random, page.shape)
        below = np.broadcast_to(paper, (*page.shape, 3))[page > 0.5].mean(0)
        scene = self.change(drawn(page, paper, self.ink(random, below)), random)
        if self.light != (1, 1):
            scene = scene * scenes.fall_off(scene.shape, random.uniform(*self.light), random)
        return self.save(scene, random)


def transparent(digit_HW: Bytes, random: Random) -> bytes:
    """Dark or light ink; what the colour is where nothing shows is up to the program that saved."""
    alpha = (Look().page(digit_HW, random) * 255).astype(np.uint8)
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    low, high = (0, 110) if random.random() < 0.5 else (190, 255)
    pixels[..., :3], pixels[..., 3] = grey(low, high)(random, None), alpha
    noise = random.integers(256, size=3), random.integers(256, size=(*alpha.shape, 3))
    hidden: list[NDArray[Any]] = [np.array(0), np.array(255), *noise]
    pixels[..., :3] = np.where(alpha[..., None] == 0, hidden[random.integers(4)], pixels[..., :3])
    return encoded(pixels)


def as_it_is(digit_HW: Bytes, random: Random) -> bytes:
    """Black on white or white on black."""
    return encoded(digit_HW if random.random() < 0.5 else 255 - digit_HW)


def enlarged(way: Image.Resampling, digit_HW: Bytes, random: Random) -> bytes:
    side = (int(random.integers(64, 257)),) * 2
    return as_it_is(np.asarray(Image.fromarray(digit_HW).resize(side, way)), random)


PEN = Look(pen=(0.04, 0.09), paper=paper, ink=blue_or_black)
PHOTO = replace(PEN, light=(0.65, 0.95), save=photo)
SHEET = replace(
    PHOTO, height=(120, 300), share=(0.2, 0.55), shapes=(0.75, 4 / 3), pen=(0.035, 0.09)
)
BOARD = replace(
    PHOTO, height=(100, 260), pen=(0.05, 0.09), share=(0.25, 0.6), shapes=(4 / 3,), light=(0.7, 0.9)
)
MARKERS = scenes.one_of((30, 30, 35), (25, 45, 140), (170, 30, 35), (20, 110, 60))
NOTES = scenes.one_of(
    (250, 235, 120), (250, 225, 90), (245, 175, 195), (165, 225, 160), (150, 210, 240)
)
SLATES = scenes.one_of((45, 75, 60), (40, 42, 45), (30, 60, 50), (55, 60, 62))

LOOKS = {
    "white paper": Look(),
    "black": Look(paper=grey(0, 25), ink=grey(190, 255)),
    "light from one side": replace(PHOTO, pen=None, light=(0.45, 0.5)),
    "vignette, noise": replace(
        PHOTO, pen=None, change=scenes.vignette, save=partial(photo, noise=(8, 12))
    ),
    "squared paper": Look(paper=partial(scenes.lined, (18, 40))),
    "JPEG": Look(save=partial(jpeg, (5, 16))),
    "EXIF": replace(PHOTO, pen=None, save=scenes.stored_turned),
    "pen": replace(PEN, paper=grey(235, 255), ink=grey(0, 80)),
    "pencil": replace(
        PHOTO, pen=(0.025, 0.05), spoil=scenes.grained, ink=grey(85, 140), light=(0.8, 0.95)
    ),
    "blue ballpoint": replace(PHOTO, pen=(0.025, 0.045), ink=blue),
    "phone photo": replace(SHEET, change=scenes.on_table),
    "its negative": replace(
        SHEET, change=scenes.on_table, save=lambda scene, random: photo(255 - scene, random)
    ),
    "sheet fills, shadow": replace(SHEET, change=scenes.hand_shadow, light=(0.75, 0.95)),
    "crumpled": replace(SHEET, change=scenes.creases),
    "dashed": replace(PEN, pen=(0.04, 0.08), dashes=True),
    "outline": Look(mark=scenes.outline, share=(0.4, 0.8), height=(150, 400)),
    "turned by 30": Look(mark=lambda ink, random: scenes.turned(ink, random.choice([-30, 30]))),
    "tight crop": Look(place=cropped, paper=grey(200, 255)),
    "whiteboard, glare": replace(BOARD, paper=grey(165, 215), ink=MARKERS, change=scenes.glare),
    "blackboard": replace(BOARD, spoil=scenes.dusty, paper=SLATES, ink=grey(205, 245)),
    "notebook, small": replace(
        PHOTO,
        height=(45, 85),
        share=(0.05, 0.1),
        shapes=(0.75,),
        paper=partial(scenes.lined, (35, 90)),
    ),
    "lamp light": replace(SHEET, change=scenes.lamp, light=(1, 1)),
    "low contrast": Look(
        paper=grey(110, 230),
        ink=lambda random, below: below - random.uniform(20, 40) * random.choice([1, -0.6]),
        save=partial(photo, noise=(1, 3)),
    ),
    "same luma": Look(paper=lambda random, _: random.uniform(30, 225, 3), ink=same_luma),
    "on a photo": Look(
        paper=lambda random, shape: _crop(random, shape), ink=far_from, save=partial(jpeg, (80, 95))
    ),
    "motion blur": replace(SHEET, share=(0.3, 0.6), change=scenes.moved),
    "out of focus": replace(SHEET, share=(0.3, 0.6), change=scenes.unfocused),
    "thick marker": replace(PHOTO, pen=(0.13, 0.19), ink=grey(10, 70)),
    "thin pen": replace(PEN, pen=(0.008, 0.018), height=(200, 400)),
    "long strip": replace(
        PHOTO, height=(90, 160), share=(0.45, 0.75), shapes=(0.13, 0.16, 0.2, 0.25, 4.5, 7)
    ),
    "screenshot": replace(
        PEN, height=(300, 500), pen=(0.03, 0.06), paper=grey(255, 255), change=scenes.below_tools
    ),
    "dirt": Look(spoil=scenes.specked, paper=paper, save=photo),
    "box of a form": Look(mark=scenes.boxed, share=(0.4, 0.85), paper=paper, save=photo),
    "underlined": replace(PHOTO, mark=scenes.underlined),
    "sticky note": replace(
        SHEET, share=(0.4, 0.7), shapes=(1,), paper=NOTES, change=scenes.on_table
    ),
    "two tones": Look(paper=two_tones, ink=grey(0, 70)),
    "corner of a page": replace(PHOTO, height=(70, 130), place=cornered),
}
NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC
DIGITS: dict[str, tuple[Source, Callable[[Bytes, Random], bytes]]] = {
    **{kind: (mnist, look) for kind, look in LOOKS.items()},
    "transparent": (mnist, transparent),
    "8x8 as it is": (eight, as_it_is),
    "8x8, nearest": (eight, partial(enlarged, NEAREST)),
    "8x8, bicubic": (eight, partial(enlarged, BICUBIC)),
    "font": (typed, LOOKS["white paper"]),
    "font, ruled": (typed, LOOKS["squared paper"]),
    "font, shaded": (typed, LOOKS["light from one side"]),
}


def photo_crop(test: Test, random: Random) -> Picture:
    crop = _crop(random, tuple(map(int, random.integers(300, 701, size=2))))
    return Picture(encoded(crop, "JPEG", quality=88), None)


def glyph(characters: str, test: Test, random: Random) -> Picture:
    """Typed in a font of the measuring half; white on black or black on white."""
    character = characters[random.integers(len(characters))]
    shape, design = _glyph(character, random)
    page = np.pad(shape, [(int(a), int(b)) for a, b in random.integers(8, 90, size=(2, 2))])
    return Picture(as_it_is(page, random), None, f"{character} {design}")


def filled_shape(test: Test, random: Random) -> Picture:
    name = list(SHAPES)[random.integers(len(SHAPES))]
    size, t = random.uniform(50, 200), random.uniform(0, 2 * np.pi)
    points = SHAPES[name](random) * [random.uniform(0.75, 1), 1]
    if name != "heart":
        points = points @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    shape = (size * (np.ptp(points, axis=0) + random.uniform(0.3, 2, 2))).astype(int)
    offset = (shape - size * np.ptp(points, axis=0)) * random.uniform(0.1, 0.9, 2)
    mask = Image.new("L", tuple(2 * shape))
    points = 2 * (size * (points - points.min(0)) + offset)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in points], fill=255)
    page = np.asarray(mask.resize(tuple(shape), Image.Resampling.BOX), np.float32) / 255
    back, colour = grey(220, 255)(random, None), random.uniform(0, 150, 3).astype(np.float32)
    scene = drawn(page, back, colour)
    return Picture(encoded(scene if random.random() < 0.7 else 255 - scene), None, name)


def _round(radius: Callable[[Floats], Floats], n: int = 240) -> Floats:
    t = np.linspace(0, 2 * np.pi, n, endpoint=False, dtype=np.float32)
    return np.stack([np.sin(t), -np.cos(t)], 1) * radius(t)[:, None]


def _star(random: Random) -> Floats:
    n = 2 * int(random.integers(4, 9))
    short = np.tile([1, random.uniform(0.35, 0.6)], n // 2).astype(np.float32)
    return _round(lambda t: short, n)


def _polygon(random: Random) -> Floats:
    n = int(random.integers(3, 9))
    return _round(lambda t: random.uniform(0.8, 1, n).astype(np.float32), n)


def _blob(random: Random) -> Floats:
    a, b = random.uniform(0.08, 0.25, 4), random.uniform(0, 6, 4)
    return _round(lambda t: 1 + sum(a[k] * np.sin((k + 2) * t + b[k]) for k in range(4)))


def _heart(random: Random) -> Floats:
    t = np.linspace(0, 2 * np.pi, 200)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y], 1) / 16


SHAPES: dict[str, Callable[[Random], Floats]] = {
    "disc": lambda random: _round(np.ones_like),
    "star": _star,
    "polygon": _polygon,
    "blob": _blob,
    "heart": _heart,
    "cross": lambda random: _round(lambda t: 0.3 / np.maximum(0.3, np.abs(np.sin(2 * t)))),
}


def text_page(test: Test, random: Random) -> Picture:
    size, count = int(random.integers(14, 34)), int(random.integers(4, 22))
    font = ImageFont.truetype(_font("a", random)[0], size)
    width, letters = int(random.integers(450, 900)), list("etaoinshrdlucmfwypvbgk")
    image = Image.new("L", (width, int((count + 2) * 1.5 * size)))
    for line in range(count):
        words = ["".join(random.choice(letters, random.integers(2, 10))) for _ in range(60)]
        text = " ".join(words)[: int(1.7 * (width - 80) / size * random.uniform(0.6, 1))]
        ImageDraw.Draw(image).text((40, (line + 1) * 1.5 * size), text, 255, font)
    page = np.asarray(image, np.float32) / 255
    scene = drawn(page, paper(random, None), grey(0, 70)(random, None))
    return Picture(photo(scene * scenes.fall_off(scene.shape, 0.8, random), random), None)


def thing(group: str, test: Test, random: Random) -> Picture:
    sample = scribbles.one(group, random)
    return Picture(sample.data, None, sample.kind)


def touching(test: Test, random: Random) -> Picture:
    """Two digits whose strokes touch."""
    height, digits = random.uniform(100, 400), [mnist(test, random) for _ in range(2)]
    inks = [own_ink(digit_HW, height * random.uniform(0.9, 1.1)) for digit_HW, _ in digits]
    tall = max(len(ink) for ink in inks)
    left, right = (np.pad(ink, ((tall - len(ink), 0), (0, 0))) for ink in inks)
    rows = (left.max(1) > 0.5) & (right.max(1) > 0.5)
    gaps = (left[:, ::-1] > 0.5).argmax(1) + (right > 0.5).argmax(1)
    overlap = int(gaps[rows].min(initial=height) + random.uniform(0.02, 0.06) * height)
    overlap = min(overlap, left.shape[1], right.shape[1])
    page = np.pad(left, ((0, 0), (0, right.shape[1] - overlap)))
    page[:, -right.shape[1] :] = np.maximum(page[:, -right.shape[1] :], right)
    page = scenes.on_page(page, random.uniform(0.4, 0.85), random.choice(Look.shapes), random)
    scene = drawn(page, grey(225, 255)(random, None), grey(0, 110)(random, None))
    return Picture(encoded(scene), None, "".join(str(label) for _, label in digits))


NO_DIGITS: dict[str, Callable[[Test, Random], Picture]] = {
    "photo crops": photo_crop,
    "symbols": partial(glyph, SYMBOLS),
    "brackets, slashes": partial(glyph, BRACKETS),
    "filled shapes": filled_shape,
    "letters": partial(glyph, nondigits.LETTERS),
    "pages of text": text_page,
    "blank": partial(thing, "blank"),
    "noise": partial(thing, "noise"),
    "scribbles": partial(thing, "scribbles"),
    "touching digits": touching,
}


def _crop(random: Random, shape: tuple[int, ...]) -> Floats:
    """A part of a photo."""
    whole, height, width = _opened(photos()[random.integers(len(photos()))]), *shape
    fits = min(whole.shape[0] / height, whole.shape[1] / width) * random.uniform(0.3, 1)
    size = (fits * np.array(shape)).astype(int)
    top, left = (random.random(2) * (whole.shape[:2] - size)).astype(int)
    part = Image.fromarray(whole[top : top + size[0], left : left + size[1]])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC), np.float32)


@cache
def photos() -> list[Path]:
    found = [importlib.util.find_spec(package) for package in ("skimage", "sklearn")]
    places = [Path(spec.origin).parent for spec in found if spec and spec.origin]
    places += [Path(share).expanduser() / "wallpapers" for share in SHARE]
    paths = {
        name: path
        for place in places
        for path in sorted(place.resolve().rglob("*.[jp][pn]g"))
        for name in set(PHOTOS.split()) & {path.stem, path.parts[-4]}
        if not path.is_symlink()
    }
    if not paths:
        raise FileNotFoundError("no photo is installed: scikit-image has some")
    return [paths[name] for name in sorted(paths)]


@cache
def _opened(path: Path) -> Bytes:
    file = Image.open(path)
    file.draft("RGB", (1200, 1200))
    image = file.convert("RGB")
    image.thumbnail((1200, 1200))
    return np.asarray(image)


def _glyph(character: str, random: Random) -> tuple[Bytes, str]:
    path, design = _font(character, random)
    return np.asarray(nondigits.glyph(path, character, int(random.integers(60, 301)))), design


def _font(character: str, random: Random) -> tuple[Path, str]:
    """Each design equally often."""
    known = nondigits.families("measuring")
    designs = sorted(set(DESIGNS.split()) & known.keys())
    while True:
        design = designs[random.integers(len(designs))]
        path = known[design][random.integers(len(known[design]))]
        if ord(character) in _characters(path):
            return path, design


@cache
def _characters(path: Path) -> frozenset[int]:
    with TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())
