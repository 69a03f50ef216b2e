"""How well any image is read: digits on canvases, digits of other sets, and what is no digit.

`python benchmarks/images/any_image.py --ckpt PATH|latest` takes ten minutes on two cores,
`--quick` two.
Nothing here has been used to choose how images are read, but for the first half of scikit-learn's.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import canvases
import nondigits
import numpy as np
import scribbles
import tally
from numpy.typing import NDArray
from PIL import Image
from tally import Row

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))

from digits.commands import argparse_app  # noqa: E402
from digits.data import mnist, unpacking  # noqa: E402
from digits.images import drawing  # noqa: E402
from digits.images.drawn import Drawing  # noqa: E402
from digits.prediction import loading  # noqa: E402
from digits.prediction.predictor import Prediction  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "any_image.json"
PACKAGES = ("torch", "numpy", "pillow", "scipy", "scikit-learn")
UNSEEN = 900  # of the 1,797 8x8 digits, the last
SEEDS = {"samples": 71, "canvases": 72, "things": 73, "letters": 74, "typed": 75}
POINTS = dict.fromkeys(canvases.KINDS, 1.0) | {"vignette": 3.0, "squared paper": 3.0}  # allowed
Labels = NDArray[np.uint8]
Map = Callable[..., Iterable[Drawing]]


class Reader:
    """From encoded images to predictions; `each` is map, or a pool's."""

    def __init__(self, ckpt: str, each: Map) -> None:
        self.predictor, self.each = loading.from_checkpoint(ckpt), each

    def read(self, files: Iterable[bytes]) -> list[Prediction]:
        return self.predictor.predict(list(self.each(drawing.read, files)))

    def draw_and_read(self, *columns: Iterable[Any]) -> list[Prediction]:
        return self.predictor.predict(list(self.each(_canvas, *columns)))


def measure(ckpt: str, n: int = 1000, workers: int = 2) -> Row:
    """All results; `n` images of each kind, `workers` 0 for none but this process."""
    images, labels = _test_set()
    with _mapping(workers) as each:
        reader = Reader(ckpt, each)
        right = reader.predictor.network(images).argmax(1) == labels
        return {
            "checkpoint": {"n": len(labels), "accuracy": float(right.mean())},
            "kinds": list(canvases.KINDS),
            "canvases": on_canvases(reader, images, labels, right, n),
            "scikit-learn": other_digits(reader, n),
            "all as files": tally.count(reader.read(map(_png, images[: 10 * n])), labels[: 10 * n]),
            "not digits": not_digits(reader, n),
            "typed": typed(reader, n),
            "seeds": SEEDS,
            "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        }


def on_canvases(
    reader: Reader, images: canvases.Bytes, labels: Labels, right: NDArray[np.bool_], n: int
) -> Row:
    """Three samples without a common image, at 28x28 and in each kind."""
    chosen = np.random.default_rng(SEEDS["samples"]).permutation(len(images))[: 3 * n]
    originals = right[chosen].reshape(3, n).mean(1)
    raw = reader.read(map(_png, images[chosen]))
    rows: Row = {
        "28x28": {"n": 3 * n, "accuracies": originals.tolist(), "accuracy": originals.mean()},
        "28x28, as a file": tally.compared(tally.count(raw, labels[chosen], 3), originals),
    }
    for k, kind in enumerate(canvases.KINDS):
        seeds = [(SEEDS["canvases"], k, int(i)) for i in chosen]
        read = reader.draw_and_read([kind] * len(chosen), images[chosen], seeds)
        rows[kind] = tally.compared(tally.count(read, labels[chosen], 3), originals)
        rows[kind]["allowed"] = POINTS[kind]
    return rows


def other_digits(reader: Reader, n: int) -> Row:
    """scikit-learn's 8x8 digits, enlarged to 200x200, black on white: all of them, and those that
    no constant was chosen by.
    """
    from sklearn.datasets import load_digits  # takes a second, here alone

    bunch, rows = load_digits(), {}
    images, labels = bunch.images[-2 * n :], bunch.target[-2 * n :].tolist()
    unseen = min(len(labels), UNSEEN)
    for name in ("nearest", "bilinear", "bicubic"):
        way = Image.Resampling[name.upper()]
        read = reader.read(_png(_enlarged(digit, way)) for digit in images)
        rows[name] = tally.count(read, labels)
        rows[f"{name}, unseen"] = tally.count(read[-unseen:], labels[-unseen:])
    return rows


def not_digits(reader: Reader, n: int) -> Row:
    """What share of each group is taken for a digit, and of each kind and font within it."""
    groups = {name: scribbles.samples(name, n, SEEDS["things"]) for name in scribbles.GROUPS}
    groups["letters"] = nondigits.letters("measuring", 2 * n, SEEDS["letters"])
    rows, everything = {}, []
    for name, samples in groups.items():
        read = reader.read(sample.data for sample in samples)
        accepted = [tally.answer(prediction) == "sure" for prediction in read]
        kinds = tally.by((sample.kind for sample in samples), accepted)
        rows[name] = tally.shares(accepted) | {"kinds": kinds}
        everything += accepted
    rows["letters"]["fonts"] = tally.by((s.family for s in groups["letters"]), accepted)
    return {**rows, "all": tally.shares(everything)}


def typed(reader: Reader, n: int) -> Row:
    samples = nondigits.typed("0123456789", "measuring", n, SEEDS["typed"])
    return tally.count(reader.read(s.data for s in samples), [int(s.kind) for s in samples])


def _canvas(kind: str, digit: canvases.Bytes, seed: tuple[int, ...]) -> Drawing:
    return drawing.read(canvases.draw(kind, digit, seed))


def _png(pixels: canvases.Bytes) -> bytes:
    return nondigits.png(Image.fromarray(pixels))


def _enlarged(digit: NDArray[np.float64], way: Image.Resampling) -> canvases.Bytes:
    """From 8x8 values of 0 to 16."""
    pixels = Image.fromarray((255 - digit * 255 / 16).round().astype(np.uint8))
    return np.asarray(pixels.resize((200, 200), way))


def _test_set() -> tuple[canvases.Bytes, Labels]:
    """Without digits.data.idx, which imports torch: the pool's processes need none."""
    raw = ROOT / "data" / "MNIST" / "raw"
    images, labels = (unpacking.take(raw / name) for name in mnist.TEST)
    shaped = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return shaped.copy(), np.frombuffer(labels, np.uint8, offset=8)  # torch warns of read-only ones


@contextmanager
def _mapping(workers: int) -> Iterator[Map]:
    if not workers:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield lambda *arguments: pool.map(*arguments, chunksize=20)


def _task(arguments: argparse.Namespace) -> None:
    checkpoint = argparse_app.checkpoint_path(arguments.ckpt)
    results = measure(checkpoint, 100 if arguments.quick else 1000)
    print(tally.text(results))
    if not arguments.quick:
        RESULTS.write_text(json.dumps(_rounded(results), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 5) if isinstance(value, float) else value


def main() -> None:
    parser = argparse_app.Parser(description=__doc__.partition("\n")[0])
    argparse_app.add_ckpt(parser)
    parser.add_argument("--quick", action="store_true", help="100 of each, nothing written")
    argparse_app.run(parser, _task)


if __name__ == "__main__":
    main()
