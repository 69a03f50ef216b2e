"""What pictures of digits are made of: pens, tables, light, a camera. H W are pixels, 3 colours;
ink is 0 (paper) to 1, light 1 (full) to 0. `height` is that of MNIST's box of 20x20, in pixels.
"""

import io
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import convolve, distance_transform_edt, gaussian_filter

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]
Random = np.random.Generator
Pair = tuple[float, float]
FINE = 140  # pixels a side for the 28 of a digit, where its middle line is found
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF's orientation: PIL's Transpose, to store
ORIENTATION = 0x0112


def encoded(pixels: NDArray[np.generic], form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    if form == "PNG":
        options = {"compress_level": 1}  # the default takes longer than all the rest
    image_of(pixels).save(file, form, **options)
    return file.getvalue()


def image_of(pixels: NDArray[np.generic]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def drawn(ink_HW: Floats, paper: Floats, ink: Floats) -> Floats:
    share = ink_HW[..., None]
    pixels: Floats = (paper * (1 - share) + ink * share).astype(np.float32)
    return pixels


def grey(low: float, high: float) -> Callable[[Random, object], Floats]:
    """Not far from grey."""

    def colour(random: Random, _: object) -> Floats:
        level = random.uniform(low, high) + random.uniform(-8, 8, size=3)
        return level.clip(low, high).astype(np.float32)

    return colour


def one_of(*colours: tuple[int, int, int]) -> Callable[[Random, object], Floats]:
    return lambda random, _: np.array(colours[random.integers(len(colours))], np.float32)


def paper(random: Random, _: object) -> Floats:
    return (random.uniform(200, 250) * random.uniform(0.92, 1, size=3)).astype(np.float32)


def lined(gaps: Pair, random: Random, shape: tuple[int, ...]) -> Floats:
    """Paper with lines across, half of the time also down."""
    y, x = np.indices(shape, np.float32)
    gap, ways = random.uniform(*gaps), [y, x] if random.random() < 0.5 else [y]
    away = [np.abs((way + random.uniform(0, gap)) % gap - gap / 2) for way in ways]
    line = np.max([(random.uniform(0.5, 1.2) + 0.5 - a).clip(0, 1) for a in away], 0)
    colour = one_of((120, 160, 215), (165, 165, 170))(random, None)
    return drawn(0.8 * line, paper(random, None), colour)


def own_ink(digit_HW: Bytes, height: float) -> Floats:
    """The digit's own strokes with smooth, fairly sharp edges."""
    scale = height / 20
    soft = gaussian_filter(resized(digit_HW.astype(np.float32) / 255, 28 * scale), 0.35 * scale)
    level = min(0.36, 0.6 * soft.max())  # of a faint digit
    return tight(((soft - level) * scale / 1.2 + 0.5).clip(0, 1))


def pen_ink(
    digit_HW: Bytes, height: float, width: float, random: Random, dashes: bool = False
) -> Floats:
    """The digit's middle line, drawn anew by a pen whose `width` is a share of the height."""
    mask = resized(digit_HW.astype(np.float32) / 255, FINE) > 0.4
    line, inside = middle_line(mask), distance_transform_edt(mask)
    away, nearest = distance_transform_edt(~line, return_indices=True)
    usual = np.median(inside[line])
    if (inside > 1.7 * usual).any():  # a loop that ran full stays a blob
        blob = distance_transform_edt(inside <= 1.7 * usual) - 0.7 * usual
        away = np.minimum(away, blob.clip(0))
    side, pen = 28 / 20 * height, max(1.6, width * height)
    far = resized(gaussian_filter(away.astype(np.float32), 1.2) - 0.8, side) * (side / FINE)
    wobble = gaussian_filter(random.standard_normal(far.shape), height / 8)
    ink = (pen / 2 * (1 + 0.12 * wobble / wobble.std()) - far + 0.5).clip(0, 1)
    if dashes:
        period = random.uniform(0.11, 0.17) * FINE / 1.4
        drawn = _along(line)[tuple(nearest)] % period < random.uniform(0.55, 0.7) * period
        ink *= resized(gaussian_filter(drawn.astype(np.float32), 1.5), side) > 0.5
    return tight(ink.astype(np.float32))


def outline(ink_HW: Floats, random: Random) -> Floats:
    """The line around the strokes of a digit, as of bubble letters."""
    height = max(ink_HW.shape)
    inside = np.pad(ink_HW, round(0.2 * height)) > 0.5
    grown = distance_transform_edt(~inside) - distance_transform_edt(inside)
    away = np.abs(gaussian_filter(grown, 2) - random.uniform(0, 0.03) * height)
    return tight((random.uniform(0.012, 0.025) * height - away + 0.5).clip(0, 1))


def middle_line(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One pixel wide (Zhang and Suen 1984)."""
    mask, before = np.pad(mask, 1), 0
    while mask.sum() != before:
        before = mask.sum()
        for turn in (0, 1):
            around = [(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)]
            p = [np.roll(mask, (-y, -x), (0, 1)) for x, y in around]
            count, steps = (
                sum(map(np.int8, p)),
                sum(~a & b for a, b in zip(p, p[1:] + p[:1], strict=True)),
            )
            n, e, s, w = p[::2]
            kept = (n & e & s) | (e & s & w) if turn == 0 else (n & e & w) | (n & s & w)
            mask = mask & ~((count >= 2) & (count <= 6) & (steps == 1) & ~kept)
    return mask[1:-1, 1:-1]


def _along(line: NDArray[np.bool_]) -> NDArray[np.int_]:
    """How many pixels each one of a line is from where the pen began."""
    order, left = np.zeros(line.shape, int), {(int(y), int(x)) for y, x in np.argwhere(line)}
    ends = convolve(line.astype(int), np.ones((3, 3), int), mode="constant")
    while left:
        start = min(left, key=lambda place: ends[place])
        left.remove(start)
        queue = deque([start])
        while queue:
            y, x = queue.popleft()
            for place in [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                if place in left:
                    left.remove(place)
                    order[place] = order[y, x] + 1
                    queue.append(place)
    return order


def resized(pixels_HW: Floats, height: float) -> Floats:
    size = (round(height * pixels_HW.shape[1] / pixels_HW.shape[0]), round(height))
    return np.asarray(Image.fromarray(pixels_HW).resize(size, Image.Resampling.BICUBIC))


def turned(ink_HW: Floats, degrees: float) -> Floats:
    image = Image.fromarray(ink_HW).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return tight(np.asarray(image).clip(0, 1))


def tight(ink_HW: Floats) -> Floats:
    ys, xs = np.nonzero(ink_HW > 0.05)
    return ink_HW[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.float32)


def boxed(ink_HW: Floats, random: Random) -> Floats:
    """In a form's box."""
    room = (random.uniform(0.12, 0.35, 4) * max(ink_HW.shape)).astype(int) + 6
    page = np.pad(ink_HW, (tuple(room[:2]), tuple(room[2:])))
    width = int(random.integers(2, 6))
    inner = np.pad(np.zeros([side - 2 * width for side in page.shape]), width, constant_values=1)
    return np.maximum(page, inner.astype(np.float32))


def underlined(ink_HW: Floats, random: Random) -> Floats:
    height = max(ink_HW.shape)
    gap, side = (random.uniform((0.08, 0.1), (0.2, 0.3)) * height).astype(int)
    line = max(2, round(random.uniform(0.04, 0.08) * height))
    page = np.pad(ink_HW, ((0, gap + line), (side, side)))
    page[-line:] = 1
    return turned(np.pad(page, 4), random.uniform(-4, 4))


def put(ink_HW: Floats, shape: NDArray[np.int_], at: NDArray[np.int_]) -> Floats:
    page = np.zeros(shape, np.float32)
    page[at[0] : at[0] + ink_HW.shape[0], at[1] : at[1] + ink_HW.shape[1]] = ink_HW
    return page


def on_page(ink_HW: Floats, share: float, wide: float, random: Random) -> Floats:
    """Ink somewhere on a page, not at its edge; the ink's longer side is a `share` of the page's
    shorter one, unless it would not fit; `wide` is the page's width by its height.
    """
    short = max(ink_HW.shape) / share
    shape = np.array([short * max(1, 1 / wide), short * max(1, wide)])
    room = shape - ink_HW.shape - 0.16 * short
    at = 0.08 * short + random.random(2) * room.clip(0)
    return put(ink_HW, shape.astype(int), at.astype(int))


def grained(page_HW: Floats, random: Random) -> Floats:
    """As a pencil on rough paper."""
    return page_HW * (0.75 + 0.25 * smooth_noise(page_HW.shape, 0.8, random)).clip(0.2, 1)


def dusty(page_HW: Floats, random: Random) -> Floats:
    """As chalk, on a board that has been wiped."""
    dust = (0.7 + 0.35 * smooth_noise(page_HW.shape, 1.1, random)).clip(0.15, 1)
    wiped = (0.07 * smooth_noise(page_HW.shape, 30, random)).clip(0, 1)
    return np.maximum(page_HW * dust, wiped)


def specked(page_HW: Floats, random: Random) -> Floats:
    image = image_of(page_HW * 255)
    for _ in range(random.integers(15, 60)):
        at, size = random.random(2) * image.size, random.uniform(0.6, 4)
        ImageDraw.Draw(image).circle(tuple(at), size, fill=int(random.integers(80, 256)))
    return np.asarray(image, np.float32) / 255


def below_tools(scene: Floats, random: Random) -> Floats:
    """A drawing program's screen: a bar of tools above."""
    width, bar = scene.shape[1], round(random.uniform(0.05, 0.08) * scene.shape[1])
    image = Image.new("RGB", (width, bar), (int(random.integers(215, 246)),) * 3)
    pen, r = ImageDraw.Draw(image), 0.26 * bar
    for i in range(int(random.integers(5, 10))):
        x, y = (1 + 1.3 * i) * bar, bar / 2
        colour, box = (
            tuple(map(int, random.integers(40, 220, size=3))),
            (x - r, y - r, x + r, y + r),
        )
        look = random.integers(4)
        if look == 0:
            pen.ellipse(box, fill=colour)
        elif look == 1:
            pen.rectangle(box, outline=(90, 90, 90), width=2)
        elif look == 2:
            pen.line((box[0], box[3], box[2], box[1]), fill=(80, 80, 80), width=3)
        else:
            pen.polygon([(x, box[1]), (box[2], box[3]), (box[0], box[3])], fill=(110, 110, 110))
    return np.concatenate([np.asarray(image, np.float32), scene])


def smooth_noise(shape: tuple[int, ...], sigma: float, random: Random) -> Floats:
    """With a mean of 0 and a deviation of 1; coarse, where it may be, for speed."""
    step = max(1, int(sigma / 3))
    small = [length // step + 2 for length in shape[:2]]
    field = gaussian_filter(random.standard_normal(small, np.float32), sigma / step)
    image = Image.fromarray((field - field.mean()) / field.std())
    size = (small[1] * step, small[0] * step)
    large = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return large[: shape[0], : shape[1]]


def fall_off(shape: tuple[int, ...], least: float, random: Random) -> Floats:
    """(H, W, 1): light from one side."""
    y, x = np.indices(shape[:2], np.float32)
    angle = random.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    along = (along - along.min()) / np.ptp(along)
    return (1 - (1 - least) * along ** random.uniform(0.8, 1.6))[..., None].astype(np.float32)


def lamp(scene: Floats, random: Random) -> Floats:
    """Warm light near one place, dark away from it."""
    y, x = np.indices(scene.shape[:2], np.float32)
    at = random.uniform(-0.1, 1.1, size=2) * scene.shape[:2]
    away = np.hypot(y - at[0], x - at[1]) / np.hypot(*scene.shape[:2])
    light = 1 / (1 + (away / random.uniform(0.35, 0.6)) ** 2)
    light = (light - light.min()) / np.ptp(light)
    least = random.uniform(0.2, 0.45)
    return scene * (least + (1 - least) * light[..., None]) * np.array([1, 0.93, 0.78], np.float32)


def vignette(scene: Floats, random: Random) -> Floats:
    """Dark corners, down to 0.4."""
    y, x = np.indices(scene.shape[:2], np.float32)
    middle = random.uniform(0.4, 0.6, size=2)
    away = (y / scene.shape[0] - middle[0]) ** 2 + (x / scene.shape[1] - middle[1]) ** 2
    return scene * (1 - 0.6 * away / away.max())[..., None]


def glare(scene: Floats, random: Random) -> Floats:
    """Lamps or a window are mirrored in a whiteboard, at times where the digit is."""
    y, x = np.indices(scene.shape[:2], np.float32) / np.float32(min(scene.shape[:2]))
    for _ in range(random.integers(1, 4)):
        at, size = random.random(2) * [y.max(), x.max()], random.uniform(0.05, 0.2, size=2)
        away = ((y - at[0]) / size[0]) ** 2 + ((x - at[1]) / size[1]) ** 2
        share = random.uniform(0.4, 0.7) * np.exp(-(away ** random.choice([1, 2])))
        scene = scene + (270 - scene) * share[..., None]
    return scene


def moved(scene: Floats, random: Random) -> Floats:
    """While the picture was taken."""
    length, angle = random.uniform(0.02, 0.045) * min(scene.shape[:2]), random.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 12)[:, None] * length * [np.sin(angle), np.cos(angle)]
    return np.mean([np.roll(scene, step, (0, 1)) for step in steps.astype(int)], 0)


def unfocused(scene: Floats, random: Random) -> Floats:
    sigma = random.uniform(0.008, 0.016) * min(scene.shape[:2])
    return gaussian_filter(scene, (sigma, sigma, 0))


def hand_shadow(scene: Floats, random: Random) -> Floats:
    """An arm reaches in from an edge, with a palm and fingers; soft or fairly sharp."""
    height, width = scene.shape[:2]
    side, angle = min(height, width), random.uniform(0, 2 * np.pi)
    towards = np.array([np.cos(angle), np.sin(angle)])
    palm = np.array([width, height]) * random.uniform(0.3, 0.7, size=2)
    palm -= towards * side * random.uniform(0.05, 0.35)
    mask = Image.new("L", (width, height))
    pen, size = ImageDraw.Draw(mask), side * random.uniform(0.13, 0.22)
    away = palm - towards * 3 * side
    pen.line([*palm, *away], fill=255, width=round(1.3 * size))
    pen.circle(tuple(palm), size, fill=255)
    for finger in np.linspace(-0.6, 0.6, 4) + random.normal(0, 0.06, 4):
        turn = np.array([np.cos(angle + finger), np.sin(angle + finger)])
        tip = palm + turn * size * random.uniform(1.6, 2.3)
        pen.line([*palm, *tip], fill=255, width=round(0.4 * size))
        pen.circle(tuple(tip), 0.2 * size, fill=255)
    soft = side * np.exp(random.uniform(np.log(0.003), np.log(0.035)))
    covered = gaussian_filter(np.asarray(mask, np.float32) / 255, soft)
    return scene * (1 - (1 - random.uniform(0.4, 0.7)) * covered)[..., None]


def creases(scene: Floats, random: Random) -> Floats:
    """Light on crumpled paper steps at each crease and fades from there."""
    shape = np.array(scene.shape[:2]) * 400 // min(scene.shape[:2])
    y, x = np.indices(shape, np.float32) / 400
    light = np.ones(shape, np.float32)
    for _ in range(random.integers(14, 28)):
        angle, at = random.uniform(0, np.pi), random.random(2) * [y.max(), x.max()]
        across = (y - at[0]) * np.cos(angle) + (x - at[1]) * np.sin(angle)
        along = (x - at[1]) * np.cos(angle) - (y - at[0]) * np.sin(angle)
        reach, length = random.uniform(0.05, 0.2), random.uniform(0.15, 0.5)
        step = np.tanh(across / 0.004) * np.exp(-np.abs(across) / reach - (along / length) ** 2)
        light += random.uniform(0.05, 0.13) * np.float32(step)
    light *= 1 + 0.03 * smooth_noise(tuple(shape), 33, random)
    large = Image.fromarray(light).resize(scene.shape[1::-1], Image.Resampling.BICUBIC)
    return scene * np.asarray(large)[..., None]


def on_table(sheet: Floats, random: Random) -> Floats:
    """A sheet, or a square note, is turned and seen a little from one side."""
    tall = (sheet.shape[0] > sheet.shape[1]) - (sheet.shape[0] < sheet.shape[1])
    shape = [(800, 800), (1000, 750), (750, 1000)][tall]
    area = (0.45, 0.85) if tall else (0.3, 0.6)  # of the picture
    size, degrees = np.array(shape[::-1], float), np.radians(random.uniform(-12, 12))
    half = size / 2 * np.sqrt(random.uniform(*area)) * random.uniform(0.93, 1.07)
    quad = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    quad += random.uniform(-0.05, 0.05, size=(4, 2)) * size
    c, s = np.cos(degrees), np.sin(degrees)
    middle = size / 2 + random.uniform(-0.5, 0.5, 2) * (size / 2 - half).clip(0)
    return laid_on(table(shape, random), sheet, quad @ np.array([[c, s], [-s, c]]) + middle)


def table(shape: tuple[int, int], random: Random) -> Floats:
    """(H, W, 3): of wood, dark, or with a patterned cloth."""
    kind = random.integers(3)
    if kind == 0:
        colours = [(150, 105, 65), (115, 75, 45), (185, 145, 100), (90, 60, 40)]
        grain = gaussian_filter(random.standard_normal((1000, 50), np.float32), (1.2, 3))
        bands = gaussian_filter(random.standard_normal((1000, 50), np.float32), (9, 8))
        vary = 0.10 * grain / grain.std() + 0.10 * bands / bands.std()
        vary = np.asarray(Image.fromarray(vary).resize((1000, 1000), Image.Resampling.BICUBIC))
        wood = np.array(colours[random.integers(4)], np.float32) * (1 + vary)[..., None]
        return np.rot90(wood, int(random.integers(2)))[: shape[0], : shape[1]]
    if kind == 1:
        colour = random.uniform(22, 75) * random.uniform(0.85, 1.15, size=3)
        return colour * (1 + 0.06 * smooth_noise(shape, 1.5, random))[..., None]
    y, x = np.indices(shape) / random.uniform(25, 90)
    stripes, checks = (x + y) % 1 < 0.5, (x % 1 < 0.5).astype(int) + (y % 1 < 0.5)
    where = (stripes if random.random() < 0.4 else checks / 2)[..., None]
    one, other = (random.uniform(40, 210) * random.uniform(0.65, 1.15, size=3) for _ in range(2))
    return one + (other - one) * where + 4 * smooth_noise(shape, 1.2, random)[..., None]


def laid_on(scene: Floats, sheet: Floats, corners: Floats) -> Floats:
    """The sheet in perspective, its corners where they are said to be."""
    height, width = sheet.shape[:2]
    to = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    rows = []
    for (x, y), (u, v) in zip(corners, to, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    way = np.linalg.solve(np.array(rows), to.ravel()).tolist()
    size, how = scene.shape[1::-1], (Image.Transform.PERSPECTIVE, way)
    seen = image_of(sheet).transform(size, *how, Image.Resampling.BICUBIC)
    mask = Image.new("L", (width, height), 255).transform(size, *how, Image.Resampling.BILINEAR)
    share = gaussian_filter(np.asarray(mask, np.float32) / 255, 0.7)[..., None]
    return scene + (np.asarray(seen, np.float32) - scene) * share


def stored_turned(scene: Floats, random: Random) -> bytes:
    """A camera held in one of the eight ways; its file says which."""
    image, tags = image_of(scene), Image.Exif()
    tags[ORIENTATION] = int(random.integers(1, 9))
    if tags[ORIENTATION] in UNDO:
        image = image.transpose(Image.Transpose(UNDO[tags[ORIENTATION]]))
    return encoded(np.asarray(image), "JPEG", quality=90, exif=tags)


def photo(
    scene: Floats,
    random: Random,
    blur: Pair = (0.4, 1.2),
    noise: Pair = (1.5, 5),
    quality: tuple[int, int] = (70, 95),
) -> bytes:
    """By a camera: a little soft, with noise, as a JPEG."""
    sigma = random.uniform(*blur)
    soft = gaussian_filter(scene.astype(np.float32), (sigma, sigma, 0))
    grain = random.standard_normal(soft.shape, np.float32) * random.uniform(*noise)
    return encoded(soft + grain, "JPEG", quality=int(random.integers(*quality)))
