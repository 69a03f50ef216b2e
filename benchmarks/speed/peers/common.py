"""What every peer is told, by its command line, and reports, as a line of JSON at its end."""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def settings(**more: int) -> argparse.Namespace:
    """`folder` holds MNIST/raw and takes outputs; `images` is 60000, fewer, or a multiple of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, value in {"epochs": 5, "batch": 128, "images": 60000, **more}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def report(fit_seconds: float, epoch_seconds: list[float], test_accuracy: float) -> None:
    line = {
        "fit_seconds": fit_seconds,
        "epoch_seconds": epoch_seconds,
        "test_accuracy": test_accuracy,
    }
    print(json.dumps(line))


def arrays(folder: Path, part: str, count: int | None = None) -> tuple[Bytes, Bytes]:
    """Images (N, 28, 28) and labels (N,) of "train" or "t10k", for peers without a reader: those
    there are, or `count` of them as `tile` has it.
    """
    raw = folder / "MNIST" / "raw"
    packed = [raw / f"{part}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
    pixels, classes = (gzip.decompress(path.read_bytes()) for path in packed)
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(classes, np.uint8, offset=8)
    if count is None or count == len(labels):
        return images, labels
    chosen = tile(count, len(labels))
    return images[chosen], labels[chosen]


def tile(count: int, there_are: int) -> list[int]:
    """Indices that repeat or cut `there_are` images to `count`."""
    return (list(range(there_are)) * -(-count // there_are))[:count]
