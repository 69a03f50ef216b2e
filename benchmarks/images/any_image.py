"""How well any picture is read: 44 kinds of a digit (see kinds.py), and ten of no digit.

`python benchmarks/images/any_image.py [--ckpt PATH|latest]` takes five minutes on two cores,
`--quick` one. Its photos: `pip install scikit-image`, Debian's plasma-workspace-wallpapers; and
install many of Debian's fonts.
"""

import argparse
import csv
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import kinds
import nondigits
import numpy as np
import scenes
import tally

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))

from digits.commands import argparse_app  # noqa: E402
from digits.data import mnist, unpacking  # noqa: E402
from digits.prediction import loading, reading  # noqa: E402
from digits.prediction.predictor import Prediction, Predictor  # noqa: E402


def read(predictor: Predictor, files: list[bytes]) -> list[Prediction]:
    return predictor.predict([reading.read(data) for data in files])


RESULTS = ROOT / "benchmarks" / "results" / "any_image.json"
PACKAGES = ("torch", "numpy", "pillow", "scipy", "scikit-learn")
AS_FILES = "28x28 files"  # test digits, 40 times as many as of a kind
CHUNK = 25


class Task(NamedTuple):
    ckpt: str
    kind: str
    indices: range


def measure(ckpt: str, n: int = 50, workers: int = 2) -> tuple[tally.Results, list[tally.Row]]:
    """Tables, and what is said of each picture; `workers` 0 for none but this process."""
    counts = {AS_FILES: 40 * n} | dict.fromkeys([*kinds.DIGITS, *kinds.NO_DIGITS], n)
    tasks = [
        Task(ckpt, kind, range(begin, min(begin + CHUNK, count)))
        for kind, count in counts.items()
        for begin in range(0, count, CHUNK)
    ]
    rows = [row for some in _mapped(tasks, workers) for row in some]
    by_kind: dict[str, list[tally.Row]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    results = {
        "checkpoint": {"n": len(_test()[1]), "accuracy": _accuracy(ckpt)},
        **tally.tables(
            by_kind.pop(AS_FILES),
            [by_kind[k] for k in kinds.DIGITS],
            [by_kind[k] for k in kinds.NO_DIGITS],
        ),
        "seed": kinds.SEED,
        "fonts": len(set(kinds.DESIGNS.split()) & nondigits.families("measuring").keys()),
        "photos": len(kinds.photos()),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
    return results, rows


def _mapped(tasks: list[Task], workers: int) -> Iterator[list[tally.Row]]:
    if not workers:
        yield from map(_read, tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(_read, tasks)


def _read(task: Task) -> list[tally.Row]:
    pictures = [_picture(task.kind, i) for i in task.indices]
    predictions = read(_predictor(task.ckpt), [picture.data for picture in pictures])
    return [
        tally.Row(task.kind, i, p.digit, p.detail, crc32(p.data), r.digit, r.probability, r.note)
        for i, p, r in zip(task.indices, pictures, predictions, strict=True)
    ]


def _picture(kind: str, i: int) -> kinds.Picture:
    if kind != AS_FILES:
        return kinds.picture(kind, i, _test())
    images, labels = _test()
    return kinds.Picture(scenes.encoded(images[i]), int(labels[i]))


def _accuracy(ckpt: str) -> float:
    images, labels = _test()
    return float((_predictor(ckpt).network(images).argmax(1) == labels).mean())


@cache
def _predictor(ckpt: str) -> Predictor:
    return loading.from_file(ckpt)


@cache
def _test() -> kinds.Test:
    """Without digits.data.idx, which imports torch."""
    raw = ROOT / "data" / "MNIST" / "raw"
    images, labels = (unpacking.take(raw / name) for name in mnist.TEST)
    shaped = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return shaped.copy(), np.frombuffer(labels, np.uint8, offset=8)  # torch warns of read-only ones


def _task(arguments: argparse.Namespace) -> None:
    checkpoint = argparse_app.checkpoint_path(arguments.ckpt)
    results, rows = measure(checkpoint, 10 if arguments.quick else arguments.n)
    print(tally.text(results))
    if arguments.each:
        with Path(arguments.each).open("w", newline="") as file:
            csv.writer(file).writerows([tally.Row._fields, *rows])
    if not arguments.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def main() -> None:
    parser = argparse_app.Parser(description=__doc__.partition("\n")[0])
    argparse_app.add_ckpt(parser, default="robust")
    parser.add_argument("--n", type=int, default=50, help="pictures of each kind (50)")
    parser.add_argument("--quick", action="store_true", help="10 of each, nothing written")
    parser.add_argument("--each", metavar="CSV", help="write what was said of each picture")
    argparse_app.run(parser, _task)


if __name__ == "__main__":
    main()
