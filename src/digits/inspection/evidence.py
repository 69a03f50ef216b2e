"""What a run's figures and its report are drawn from: plain arrays, kept beside its metrics.

Shapes: N images, K classes, P of them that the network knows, M images that are wrong and shown,
S samples, U units, H W pixels (and 3 colours or none).
"""

import zipfile
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import InputError
from digits.files import read_at_most, write_atomically
from digits.inspection.statistics import Bools, Floats, Ints

Pixels = NDArray[np.uint8]
Strings = NDArray[np.str_]

STAGES = ("test", "val")
MAX_BYTES = 1 << 26  # of a file, which may come from anyone; MNIST's has 0.8 MB
MAX_UNPACKED = 1 << 28
MAX_CLASSES = 2_000  # a confusion matrix of more is not looked at
MOST_SCORES = 1 << 23  # N * P: of more, no probabilities are kept
LARGEST = 64  # pixels of a picture's side
LONGEST_NAME = 40  # characters
MOST_PICTURES = 500  # of a kind
NAMES_OF_CLASSES = "class_names"  # what a data module may declare, in the order of its labels


@dataclass(frozen=True)
class Evidence:
    """Labels, predictions, their probability and those of all classes for the images of `stage` (an
    array of one word); pictures of the mistakes at places `shown_M` of them, most confident first;
    training samples; the first layer's weights.
    """

    stage: Strings
    names_K: Strings
    labels_N: Ints
    predicted_N: Ints
    confidence_N: Floats
    probabilities_NP: Floats  # (0, 0) where there would be too many, and in a file of before
    shown_M: Ints
    pictures_MHW: Pixels
    samples_SHW: Pixels
    sample_labels_S: Ints
    weights_UHW: Floats
    units: Ints  # how many the first layer has

    @property
    def is_right_N(self) -> Bools:
        return np.equal(self.labels_N, self.predicted_N)

    @property
    def count(self) -> int:
        return len(self.labels_N)

    @property
    def correct(self) -> int:
        return int(self.is_right_N.sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.count

    def name(self, label: int) -> str:
        return str(self.names_K[label])

    def sees_the_same(self, other: "Evidence") -> bool:
        """Whether both are of the same images, as far as their labels can tell."""
        return np.array_equal(self.labels_N, other.labels_N)


KINDS = {  # of each array: dtype.kind, and its number of dimensions
    "stage": ("U", {0}), "names_K": ("U", {1}), "labels_N": ("iu", {1}), "predicted_N": ("iu", {1}),
    "confidence_N": ("f", {1}), "probabilities_NP": ("f", {2}), "shown_M": ("iu", {1}),
    "pictures_MHW": ("u", {3, 4}), "samples_SHW": ("u", {3, 4}), "sample_labels_S": ("iu", {1}),
    "weights_UHW": ("f", {3}), "units": ("iu", {0}),
}  # fmt: skip


def write(path: Path, evidence: Evidence) -> None:
    """Raises OSError if it can't be written."""
    file = BytesIO()
    np.savez_compressed(file, **{f.name: getattr(evidence, f.name) for f in fields(evidence)})
    write_atomically(path, file.getbuffer())


def read(path: Path) -> Evidence | None:
    """None if there is no file. Raises InputError if it is not a run's, or damaged."""
    try:
        arrays = _arrays(read_at_most(path, MAX_BYTES))
        _check(arrays)
    except FileNotFoundError:
        return None
    except Exception as error:  # a flipped bit makes zipfile, zlib and numpy raise ten kinds
        raise InputError(f"{path}: no run's evidence, or damaged") from error
    return Evidence(**arrays)


def _arrays(packed: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise ValueError("too large")
    with np.load(BytesIO(packed), allow_pickle=False) as file:
        optional = {"probabilities_NP": file.get("probabilities_NP", np.zeros((0, 0), np.float32))}
        return {name: file[name] for name in KINDS if name not in optional} | optional


def _check(arrays: dict[str, Any]) -> None:
    """Raises ValueError unless the arrays fit each other."""
    count, classes = len(arrays["labels_N"]), len(arrays["names_K"])
    fits = [array.dtype.kind in KINDS[name][0] and array.ndim in KINDS[name][1]
            for name, array in arrays.items()]  # fmt: skip
    fits += [len(arrays[name]) == count for name in arrays if name.endswith("_N")]
    fits += [_are_below(arrays[name], classes)
             for name in ("labels_N", "predicted_N", "sample_labels_S")]  # fmt: skip
    fits += [bool(((arrays[name] >= 0) & (arrays[name] <= 1)).all())
             for name in ("confidence_N", "probabilities_NP")]  # fmt: skip
    rows, known = arrays["probabilities_NP"].shape
    fits += [rows in (0, count), known <= classes]
    for pictures, labels in (("pictures_MHW", "shown_M"), ("samples_SHW", "sample_labels_S")):
        fits.append(len(arrays[pictures]) == len(arrays[labels]))
        fits.append(arrays[pictures].dtype == np.uint8 and arrays[pictures].shape[3:] in ((), (3,)))
    for tiles in ("pictures_MHW", "samples_SHW", "weights_UHW"):
        count_of, height, width = arrays[tiles].shape[:3]
        fits.append(count_of <= MOST_PICTURES and 0 < height <= LARGEST and 0 < width <= LARGEST)
    fits += [_are_below(arrays["shown_M"], count), 0 < classes <= MAX_CLASSES, count > 0]
    fits.append(arrays["names_K"].dtype.itemsize <= 4 * LONGEST_NAME)
    fits += [str(arrays["stage"]) in STAGES, bool(np.isfinite(arrays["weights_UHW"]).all())]
    if not all(fits):
        raise ValueError("arrays that don't fit each other")


def _are_below(array: Any, bound: int) -> bool:
    return len(array) == 0 or (int(array.min()) >= 0 and int(array.max()) < bound)
