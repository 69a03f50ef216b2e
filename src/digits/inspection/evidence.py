"""What a run's figures and its report are drawn from: plain arrays, kept beside its metrics.

Shapes: N images, K classes, P of them that the network knows, M images that are wrong and shown,
S samples, U units, H W pixels (and 3 colours or none).
"""

import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import InputError
from digits.files import read_at_most, write_atomically
from digits.inspection import statistics
from digits.inspection.statistics import Bools, Floats, Ints, Reliability
from digits.runs.run import STAGES

Pixels = NDArray[np.uint8]
Strings = NDArray[np.str_]

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

    @property
    def images(self) -> str:
        return f"{STAGES[str(self.stage)]} images"

    @cached_property
    def counts_KK(self) -> Ints:
        """The confusion matrix."""
        return statistics.confusion(self.labels_N, self.predicted_N, len(self.names_K))

    @cached_property
    def reliability(self) -> Reliability:
        return statistics.reliability(self.confidence_N, self.is_right_N)

    def name(self, label: int) -> str:
        return str(self.names_K[label])


KINDS = {  # of each array, dtype.kind; the last letters of its name are its shape
    "stage": "U", "names_K": "U", "labels_N": "iu", "predicted_N": "iu", "confidence_N": "f",
    "probabilities_NP": "f", "shown_M": "iu", "pictures_MHW": "u", "samples_SHW": "u",
    "sample_labels_S": "iu", "weights_UHW": "f", "units": "iu",
}  # fmt: skip
COUNTED = {"N": "labels_N", "K": "names_K", "M": "shown_M", "S": "sample_labels_S"}
PLACES = {"labels_N": "K", "predicted_N": "K", "sample_labels_S": "K", "shown_M": "N"}


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
        return Evidence(**arrays)
    except FileNotFoundError:
        return None
    except Exception as error:  # a flipped bit makes zipfile, zlib and numpy raise ten kinds
        raise InputError(f"{path}: no run's evidence, or damaged") from error


def _arrays(packed: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise ValueError("too large")
    with np.load(BytesIO(packed), allow_pickle=False) as file:
        found = {name: file[name] for name in file.files if name in KINDS}
    return {"probabilities_NP": np.zeros((0, 0), np.float32)} | found


def _check(arrays: dict[str, Any]) -> None:
    """Raises ValueError unless the arrays fit each other."""
    sizes = {letter: len(arrays[name]) for letter, name in COUNTED.items()}
    fits = [str(arrays["stage"]) in STAGES, 0 < sizes["K"] <= MAX_CLASSES, sizes["N"] > 0]
    for name, array in arrays.items():
        shape = name.rpartition("_")[2] if name[-1].isupper() else ""
        kind, colours = array.dtype.kind, array.shape[len(shape) :]
        fits += [kind in KINDS[name], array.ndim >= len(shape)]
        fits.append(colours == () or (kind, colours) == ("u", (3,)))
        if shape and array.shape != (0, 0):  # no probabilities
            fits.append(len(array) == sizes.get(shape[0], len(array)))
        if shape.endswith("HW"):
            sides = array.shape[1:3]
            fits.append(len(array) <= MOST_PICTURES and min(sides) > 0 and max(sides) <= LARGEST)
    for name, among in PLACES.items():
        fits.append(bool(((arrays[name] >= 0) & (arrays[name] < sizes[among])).all()))
    if not all(fits):
        raise ValueError("arrays that don't fit each other")
