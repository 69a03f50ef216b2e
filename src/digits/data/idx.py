"""Read MNIST's files into tensors.

Nothing is extracted to disk. A file is read whole, its MD5 sum is checked, and its content is
decompressed in memory (0.3 s for all four files), so a kill or a second process leaves no half-made
files behind.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from digits.data import unpacking
from digits.errors import InputError


def read(raw_dir: Path, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Return the images (N, 28, 28) uint8 and labels (N,) int64 of TRAIN or TEST, verified."""
    images, labels = (parse(unpacking.take(raw_dir / name), str(raw_dir / name)) for name in names)
    return images, labels.long()


def parse(data: bytes, source: str) -> Tensor:
    """Return the uint8 tensor in IDX bytes. Raises InputError, which names `source`, for others.

    IDX has two zero bytes, a type (8 is uint8), the number of dimensions, each size as a big-endian
    uint32, and the values.
    """
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 or len(data) < 4 + 4 * data[3]:
        raise InputError(f"{source}: not an IDX file of bytes")
    start = 4 + 4 * data[3]
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    if math.prod(shape) != len(data) - start or not shape or len(data) == start:
        raise InputError(f"{source}: the header promises {shape}, {len(data) - start} bytes follow")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=start).view(shape)
