"""MNIST's four files: getting them, verifying what is read, and the tensors in them.

Nothing is extracted to disk. A file is read whole, its MD5 sum checked and its content decompressed
in memory (0.3 s for all four), so there is no half-made state for a kill or a second process to
leave behind.
"""

import gzip
import hashlib
import logging
import math
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

import torch
from torch import Tensor
from tqdm import tqdm

from digits.errors import InputError
from digits.files import write_atomically

log = logging.getLogger(__name__)

TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
MD5 = {
    TRAIN[0]: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    TRAIN[1]: "d53e105ee54ea40749a09fcbcd1e9432",
    TEST[0]: "9fb629c4189551a2d022fa330f9573f3",
    TEST[1]: "ec29112dd5afa0611ce80d1b7f02629c",
}
SILENCE_S = 10.0  # a mirror that sends nothing for this long is given up
PATIENCE_S = 20.0  # so is one that is slower than MIN_BYTES_PER_S after this long
MIN_BYTES_PER_S = 20_000
MAX_BYTES = 2 * 9_912_422  # twice the largest file


def ensure(raw_dir: Path, mirrors: Sequence[str] | None = None) -> None:
    """Leave the four files in `raw_dir`, downloading those that are absent or damaged.

    `mirrors` are URL prefixes, tried in order; None means torchvision's list. Raises InputError,
    naming files and folder, when no mirror gives a good copy or the folder cannot be written.
    """
    for name in MD5:
        path = raw_dir / name
        if path.is_file():
            if _is_intact(name, path.read_bytes()):
                continue
            log.warning("%s is damaged (its MD5 sum is wrong): getting it again", path)
        else:
            log.info("%s is not there: getting it", path)
        try:
            raw_dir.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _download(name, raw_dir, mirrors))
        except OSError as error:
            raise InputError(
                f"paths.data_dir: cannot write {path} ({error.strerror}); expected a folder that "
                f"can be written, or one that has MNIST/raw/{name}"
            ) from error


def read(raw_dir: Path, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Images (N, 28, 28) uint8 and labels (N,) int64 of TRAIN or TEST, verified on reading."""
    images, labels = (_read_verified(raw_dir / name) for name in names)
    return images, labels.long()


def parse(data: bytes, source: str) -> Tensor:
    """The uint8 tensor in IDX bytes; raises InputError, naming `source`, where they are not well
    formed.

    IDX: two zero bytes, a type (8 is uint8), the number of dimensions, each size as a big-endian
    uint32, the values.
    """
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise InputError(f"{source}: not an IDX file of bytes")
    start = 4 + 4 * data[3]
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    if math.prod(shape) != len(data) - start or not shape or len(data) == start:
        raise InputError(f"{source}: the header promises {shape}, {len(data) - start} bytes follow")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=start).view(shape)


def _read_verified(path: Path) -> Tensor:
    packed = path.read_bytes()
    if not _is_intact(path.name, packed):  # since `ensure` looked
        raise InputError(f"{path}: damaged; expected the MD5 sum {MD5[path.name]}")
    return parse(gzip.decompress(packed), str(path))


def _is_intact(name: str, packed: bytes) -> bool:
    return hashlib.md5(packed, usedforsecurity=False).hexdigest() == MD5[name]


def _download(name: str, raw_dir: Path, mirrors: Sequence[str] | None) -> bytes:
    if mirrors is None:
        from torchvision.datasets import MNIST  # 1 s, and only a download needs it

        mirrors = MNIST.mirrors
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            packed = _fetch(url)
            if _is_intact(name, packed):
                return packed
            failures.append(f"{url}: wrong content")
        except (OSError, HTTPException, ValueError) as error:  # time-outs are OSErrors
            failures.append(f"{url}: {error}")
    raise InputError(
        f"cannot download {name} ({'; '.join(failures) or 'no mirrors given'}); "
        f"put the files {', '.join(MD5)} into {raw_dir}"
    )


def _fetch(url: str) -> bytes:
    begin, data = time.monotonic(), bytearray()
    request = Request(url, headers={"User-Agent": "lightning-digits"})
    with (
        urlopen(request, timeout=SILENCE_S) as response,
        tqdm(total=response.length, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while chunk := response.read1(1 << 16):
            data += chunk
            bar.update(len(chunk))
            seconds = time.monotonic() - begin
            if seconds > PATIENCE_S and len(data) < seconds * MIN_BYTES_PER_S:
                raise TimeoutError(f"slower than {MIN_BYTES_PER_S} bytes a second")
            if len(data) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
    return bytes(data)
