"""MNIST's four files: which they are, whether a copy is good, and getting one. Imports no torch."""

import hashlib
import logging
import time
from collections.abc import Sequence
from http.client import HTTPException, InvalidURL
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from digits.errors import InputError, flat
from digits.files import write_atomically
from digits.redact import redacted

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
            if is_intact(name, read_packed(path)):
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


def read_packed(path: Path) -> bytes:
    """A whole file, or enough of one that is too large to be MNIST's. Raises InputError where it
    cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise InputError(f"paths.data_dir: cannot read {path}: {error.strerror}") from error


def is_intact(name: str, packed: bytes) -> bool:
    return hashlib.md5(packed, usedforsecurity=False).hexdigest() == MD5[name]


def _download(name: str, raw_dir: Path, mirrors: Sequence[str] | None) -> bytes:
    if mirrors is None:
        from torchvision.datasets import MNIST  # 1 s, and only a download needs it

        mirrors = MNIST.mirrors
    failures = []
    for mirror in mirrors:
        url, shown = (f"{text.rstrip('/')}/{name}" for text in (mirror, redacted(mirror)))
        try:
            packed = _fetch(url)
            if is_intact(name, packed):
                return packed
            failures.append(f"{shown}: wrong content")
        except (OSError, HTTPException, ValueError) as error:  # time-outs are OSErrors
            failures.append(f"{shown}: {_reason(error)}")
    raise InputError(
        f"cannot download {name} ({'; '.join(failures) or 'no mirrors given'}); "
        f"put the files {', '.join(MD5)} into {raw_dir}"
    )


def _fetch(url: str) -> bytes:
    begin, data = time.monotonic(), bytearray()
    request = Request(url, headers={"User-Agent": "lightning-digits"})
    with (
        urlopen(request, timeout=SILENCE_S) as response,
        tqdm(
            total=getattr(response, "length", None), unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        while chunk := response.read1(1 << 16):
            data += chunk
            bar.update(len(chunk))
            seconds = time.monotonic() - begin
            if seconds > PATIENCE_S and len(data) < seconds * MIN_BYTES_PER_S:
                raise TimeoutError(f"slower than {MIN_BYTES_PER_S} bytes a second")
            if len(data) > MAX_BYTES:
                raise HTTPException(f"more than {MAX_BYTES} bytes")
    return bytes(data)


def _reason(error: Exception) -> str:
    """Without the URL, which may hold a password: libraries quote pieces of it, changed."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, URLError | InvalidURL | ValueError):
        return "no URL that can be asked"
    return flat(getattr(error, "strerror", None) or str(error)) or type(error).__name__
