"""Read files in MNIST's format into tensors.

Nothing is extracted to disk. A file is read whole, its MD5 sum is checked, and its content is
decompressed in memory (0.3 s for all four files), so a kill or a second process leaves no half-made
files behind.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from digits.data import unpacking
from digits.data.sets import MNIST, ImageSet
from digits.errors import InputError

KINDS: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 12: np.dtype(">i4")}


def read(raw_dir: Path, names: tuple[str, ...], known: ImageSet = MNIST) -> tuple[Tensor, Tensor]:
    """Return the images (N, 28, 28) uint8 and labels (N,) int64 of the two files, verified."""
    images, labels = (
        parse(unpacking.take(raw_dir / name, known), str(raw_dir / name)) for name in names
    )
    if known.is_transposed:
        images = images.transpose(1, 2).contiguous()
    labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST's other columns: who wrote it
    return images, labels.long() - known.first_label


def parse(data: bytes, source: str) -> Tensor:
    """Return the uint8 or int32 tensor in IDX bytes. Raises InputError, which names `source`, for
    others.

    IDX has two zero bytes, a type (8 is uint8, 12 int32), the number of dimensions, each size as a
    big-endian uint32, and the values, big-endian, too.
    """
    kind = KINDS.get(data[2]) if data[:2] == b"\x00\x00" and len(data) > 3 else None
    if kind is None or len(data) < 4 + 4 * data[3]:
        raise InputError(f"{source}: not an IDX file of bytes")
    start = 4 + 4 * data[3]
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    size = math.prod(shape) * kind.itemsize
    if size != len(data) - start or not shape or len(data) == start:
        raise InputError(f"{source}: the header promises {shape}, {len(data) - start} bytes follow")
    values = np.frombuffer(data, kind, offset=start).astype(kind.newbyteorder("="))
    return torch.from_numpy(values).view(shape)
