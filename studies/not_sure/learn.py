"""`python studies/not_sure/learn.py --ckpt FILE`: makes confidence.npz, by which a reading of a
picture is chosen and predictions are "not sure". FILE is of a run with data.val_size=5000 of the
recipe whose network comes with the package: those digits choose the numbers. See README.md.

A small network learns right readings against wrong ones and against what is no digit; then the
temperature of the probabilities and the threshold are chosen. Shapes: N images, H W pixels, D
features.
"""

import hashlib
import io
import json
import os
import sys
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "benchmarks" / "images")]

import doodles  # noqa: E402
import nondigits  # noqa: E402
import pages  # noqa: E402

from digits.commands import argparse_app  # noqa: E402
from digits.data import idx, mnist  # noqa: E402
from digits.data.batches import split  # noqa: E402
from digits.images import drawing  # noqa: E402
from digits.images.drawn import Drawing, Glyph  # noqa: E402
from digits.prediction import confidence, loading  # noqa: E402
from digits.prediction.network import shipped  # noqa: E402
from digits.prediction.predictor import Predictor  # noqa: E402
from studies.calibration.scores import temperature  # noqa: E402

VAL_SIZE = 5000
TURNED_DOWN = 0.018  # of the held-out digits, by their first reading
HIDDEN, EPOCHS, BATCH = 256, 40, 512
SEED = 5
SYMBOLS = "?!&@#$%+=*~^<>\"'`,-.:;_¡¢£¤¥¦§¨©ª«¬®¯°±´µ¶·¸º»¿×÷"  # noqa: RUF001
BRACKETS = "()[]{}/\\|"
STAMPS, PHOTOS = Path("/usr/share/tuxpaint/stamps"), Path("/usr/share/backgrounds")
THINGS = (
    "animals clothes food hobbies household naturalforces people plants space sports town vehicles"
)

Seen = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """Which digit or digits it shows; none, if it shows no digit that one could name. `source` is
    its font's or photo's: both sides of a split have other ones. If not `every`, only the first
    way of reading it is looked at.
    """

    kind: str
    digits: tuple[int, ...]
    make: Callable[[], bytes]
    source: str = ""
    every: bool = True

    def is_kept(self, number: int) -> bool:
        """Whether it is one of the fifth that shows how good the numbers are."""
        name = self.source or str(number)
        return hashlib.sha256(name.encode()).digest()[0] % 5 == 0


@cache
def train_set() -> tuple[Seen, NDArray[np.uint8]]:
    raw, labels = idx.read(ROOT / "data" / "MNIST" / "raw", mnist.TRAIN)
    return raw.numpy(), labels.numpy()


def png(pixels_HW: Seen) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG")
    return file.getvalue()


def coarse(pixels_HW: Seen, way: int) -> bytes:
    """A digit at 8x8: as it is (0), or enlarged (1, 2): one of few pixels is a digit, too."""
    rows, columns = np.flatnonzero(pixels_HW.any(1)), np.flatnonzero(pixels_HW.any(0))
    tight = pixels_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    page = Image.fromarray(tight).resize((6, 8), Image.Resampling.BOX)
    if way == 0:
        return png(np.pad(np.asarray(page), ((0, 0), (1, 1))))
    smooth = Image.Resampling.BICUBIC if way == 1 else Image.Resampling.NEAREST
    return png(np.pad(np.asarray(page.resize((150, 200), smooth)), 25))


def digits(share: float, random: np.random.Generator, kept: NDArray[np.int64]) -> Iterator[Picture]:
    raw, labels = train_set()

    def some(count: float) -> Iterator[tuple[int, Seen]]:
        for i in random.choice(kept, max(4, int(share * count)), replace=False):
            yield int(labels[i]), raw[i]

    for kind in pages.KINDS:
        for y, pixels_HW in some(300):
            make = partial(pages.one, kind, pixels_HW, int(random.integers(1 << 31)))
            yield Picture(kind, (y,), make)
    for every, count in ((True, 100), (False, 10_000)):
        for y, pixels_HW in some(count):
            yield Picture("file", (y,), partial(png, pixels_HW), every=every)
    for way in range(3):
        for y, pixels_HW in some(1400):
            yield Picture("8x8", (y,), partial(coarse, pixels_HW, way), every=False)
    for apart, count in ((True, 400), (False, 600)):
        row = some(4 * count)
        while few := list(islice(row, int(random.integers(2, 5 if apart else 4)))):
            images = np.stack([pixels_HW for _, pixels_HW in few])
            make = partial(pages.several, images, apart, int(random.integers(1 << 31)))
            named = tuple(y for y, _ in few) if apart and len(few) > 1 else ()
            yield Picture("apart" if apart else "touching", named, make)
    for every, count in ((True, 500), (False, 5500)):
        for each in nondigits.typed("0123456789", "choosing", int(share * count), SEED + every):
            yield Picture("typed", (int(each.kind),), partial(bytes, each.data), each.family, every)


def others(share: float) -> Iterator[Picture]:
    """What is no digit."""
    for every, count in ((True, 1350), (False, 18_000)):
        for each in nondigits.letters("choosing", int(share * count), SEED + every):
            yield Picture("letters", (), partial(bytes, each.data), each.family, every)
    for kind, characters, count in (("symbols", SYMBOLS, 2600), ("brackets", BRACKETS, 1200)):
        for every, times in ((True, 1), (False, 2)):
            several = int(share * count * times)
            for each in nondigits.typed(characters, "choosing", several, SEED + every):
                yield Picture(kind, (), partial(bytes, each.data), each.family, every)
    for every, count in ((True, 2450), (False, 11_700)):
        for data in doodles.several(int(share * count), SEED + every):
            yield Picture("doodles", (), partial(bytes, data), every=every)
    stamps = (path for thing in THINGS.split() for path in sorted((STAMPS / thing).rglob("*.png")))
    small = [path for path in stamps if "cartoon" not in str(path)]
    large = sorted(PHOTOS.glob("mate/nature/*.jpg")) + sorted(PHOTOS.glob("gnome/*.webp"))
    for photos, count in ((small, 760), (large, 1370)):
        several = int(share * count)
        for number in range(several):  # one photo's crops in a row, as opening it takes long
            photo = photos[number * len(photos) // several]
            yield Picture("photos", (), partial(pages.crop, photo, number), photo.name)
    paths = nondigits.fonts("choosing")
    for number in range(int(share * 330)):
        yield Picture("text", (), partial(pages.text, paths, number))


def readings(picture: Picture) -> list[Drawing]:
    """By each way, or by the first."""
    guesses = islice(drawing.guesses(picture.make()), None if picture.every else 1)
    return [replace(each, layers=()) for each in guesses]


@dataclass
class Rows:
    """Of all glyphs of all readings: features, whether the network is right, kind, and whether they
    are kept to judge by.
    """

    features_ND: Floats
    right_N: NDArray[np.bool_]
    kind_N: NDArray[np.str_]
    kept_N: NDArray[np.bool_]


def rows(read: list[tuple[Picture, list[Drawing]]]) -> Rows:
    glyphs: list[Glyph] = []
    truths, kinds, kept = [], [], []
    for number, (picture, drawings) in enumerate(read):
        for each in drawings:
            for glyph, truth in _with_truths(picture, each):
                glyphs.append(glyph)
                truths.append(truth)
                kinds.append(picture.kind)
                kept.append(picture.is_kept(number))
    answers_N = shipped()(np.stack([glyph.pixels_HW for glyph in glyphs])).argmax(1)
    features_ND = np.stack([confidence.features(glyph) for glyph in glyphs])
    return Rows(features_ND, answers_N == np.array(truths), np.array(kinds), np.array(kept))


def _with_truths(picture: Picture, read: Drawing) -> Iterator[tuple[Glyph, int]]:
    """Each glyph with the digit that it is; -1 if it is none."""
    if read.whole is None:
        return
    one = len(picture.digits) == 1
    yield read.whole, picture.digits[0] if one else -1
    if picture.kind == "touching":  # some don't: their pieces are digits
        return
    if len(picture.digits) < 2:
        yield from ((part, -1) for part in read.parts)
    elif len(read.parts) == len(picture.digits):
        yield from zip(read.parts, picture.digits, strict=True)


def bent(x_NHW: Tensor, generator: torch.Generator) -> Tensor:
    """Turned by up to 12 degrees, stretched by 12 %, sheared, moved by a pixel."""
    count = len(x_NHW)

    def random(most: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * most

    angle, shear, scale_x, scale_y = random(0.2), random(0.15), 1 + random(0.12), 1 + random(0.12)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale_x * angle.cos(), scale_y * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = shear - angle.sin(), angle.sin()
    theta[:, :, 2] = torch.stack([random(0.07), random(0.07)], 1)
    grid = F.affine_grid(theta, [count, 1, *x_NHW.shape[1:]], align_corners=False)
    return F.grid_sample(x_NHW[:, None], grid, align_corners=False)[:, 0]


def weights_of(kinds: NDArray[np.str_], right: NDArray[np.bool_]) -> Tensor:
    """Right and wrong count alike; a kind by the root of its number."""
    cells = list(zip(kinds.tolist(), right.tolist(), strict=True))
    counts = Counter(cells)
    weight_N = torch.tensor([max(counts[cell], 300) ** -0.5 for cell in cells])
    for side in (torch.from_numpy(right), torch.from_numpy(~right)):
        weight_N[side] *= len(cells) / 2 / weight_N[side].sum()
    return weight_N


def trained(learned: Rows) -> nn.Sequential:
    """A network whose output is above 0 for right readings."""
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    x_ND = torch.from_numpy(learned.features_ND[~learned.kept_N])
    right_N = learned.right_N[~learned.kept_N]
    weight_N, y_N = weights_of(learned.kind_N[~learned.kept_N], right_N), torch.from_numpy(right_N)
    net = nn.Sequential(
        nn.Linear(x_ND.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 1)
    )
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    steps = len(x_ND) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=EPOCHS * steps)
    for _ in tqdm(range(EPOCHS), unit="epoch", disable=None):
        order = torch.randperm(len(x_ND), generator=generator)
        for some in order[: steps * BATCH].view(-1, BATCH):
            pixels = bent(x_ND[some, :784].view(-1, 28, 28), generator).flatten(1)
            noise = 0.03 * torch.randn(BATCH, x_ND.shape[1] - 784, generator=generator)
            logits = net(torch.cat([pixels, x_ND[some, 784:] + noise], 1))[:, 0]
            loss = F.binary_cross_entropy_with_logits(logits, y_N[some].float(), weight_N[some])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def main(arguments: Namespace) -> None:
    model = loading.from_file(arguments.ckpt)
    raw, labels = train_set()
    held_out, kept = (each.numpy() for each in split(len(raw), range(VAL_SIZE)))
    random = np.random.default_rng(SEED)
    pictures = [*digits(arguments.share, random, kept), *others(arguments.share)]
    files = [
        Picture("held out", (int(labels[i]),), partial(png, raw[i]), every=False) for i in held_out
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(readings, pictures + files, chunksize=16)
        told = tqdm(found, total=len(pictures + files), unit="picture", disable=None)
        read = list(zip(pictures + files, told, strict=True))
    learned = rows(read[: len(pictures)])
    net = trained(learned)
    held = [drawings[0].whole for _, drawings in read[len(pictures) :]]
    finish(model, net, [glyph for glyph in held if glyph], labels[held_out])
    report(read[: len(pictures)])


def finish(
    model: Predictor, net: nn.Sequential, held: list[Glyph], labels_N: NDArray[np.uint8]
) -> None:
    """Choose temperature and threshold by the held-out digits, and write all."""
    p_NK = model.network(np.stack([glyph.pixels_HW for glyph in held]))
    t = temperature(p_NK, labels_N)
    weights = [w.detach().numpy() for w in net.parameters()]
    scores = confidence.Sure(t, 0.0, *weights).score(held, confidence.tempered(p_NK, t))
    threshold = float(np.quantile(scores, TURNED_DOWN))
    a, b, c, d = (weight.astype(np.float16) for weight in weights)
    np.savez_compressed(confidence.FILE, temperature=t, threshold=threshold, a=a, b=b, c=c, d=d)
    print(f"temperature {t:.2f}, threshold {threshold:.3f}")


def report(read: list[tuple[Picture, list[Drawing]]]) -> None:
    """Of the kept fifth, by kind: how many are read right, and how many are wrong and sure."""
    from digits.prediction import reading

    confidence.measured.cache_clear()
    by_kind = defaultdict(list)
    for number, (picture, drawings) in enumerate(read):
        if picture.every and picture.is_kept(number):
            (one,) = reading.judge().predict([reading.best(iter(drawings))])
            if picture.kind == "touching" and one.parts:  # these don't
                continue
            is_right = one.answer == picture.digits
            by_kind[picture.kind].append((is_right, one.is_sure and not is_right))
    for kind, each in by_kind.items():
        right, wrong = np.mean(each, 0)
        print(f"{kind:15} n {len(each):4}  right {right:6.1%}  wrong and sure {wrong:6.1%}")
    print(json.dumps({"file": confidence.FILE.name, "bytes": confidence.FILE.stat().st_size}))


if __name__ == "__main__":
    parser = argparse_app.Parser(description=__doc__)
    argparse_app.add_ckpt(parser)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the pictures: 0.01 to try it out"
    )
    argparse_app.run(parser, main)
