"""Read and check each file of a data set once, and unpack it when it is used. The largest one is
unpacked ahead of time, while torch is imported, which keeps only one core busy.
"""

import hashlib
import zlib
from contextlib import suppress
from pathlib import Path
from threading import Thread
from zipfile import BadZipFile, ZipFile

from omegaconf import DictConfig, OmegaConf

from digits.data.mnist import DATA_MODULE
from digits.data.sets import MNIST, SETS, ImageSet
from digits.errors import InputError
from digits.files import DATA

MAX_UNPACKED = 1 << 28  # EMNIST's largest file has 188 MB

_begun: dict[Path, Thread] = {}
_packed: dict[Path, bytes] = {}  # intact files, until their content is taken
_contents: dict[Path, bytes] = {}  # what was unpacked ahead of time


class DamagedError(InputError):
    """A file's MD5 sum is not that of the data set's file."""


def raw_dir(data_dir: str | None, known: ImageSet = MNIST) -> Path:
    here = Path(data_dir or DATA) / known.folder / "raw"
    is_packaged = known.debian and known.debian.is_dir() and not (here / known.files[0]).is_file()
    return known.debian if known.debian and is_packaged else here


def begin(cfg: DictConfig) -> None:
    """Let a thread unpack the file that a fit with these settings will read, if it is in SETS."""
    target, data_dir, name = (
        OmegaConf.select(cfg, f"data.{name}") for name in ("_target_", "data_dir", "name")
    )
    known = SETS.get(name or "mnist")
    if target != DATA_MODULE or known is None or known.archive:
        return
    path = raw_dir(data_dir, known) / known.files[0]

    def work() -> None:
        with suppress(InputError):  # whoever takes it tries again and reports this
            _contents[path] = unpacked(_intact(path, known))

    if path not in _begun:
        _begun[path] = Thread(target=work, daemon=True)
        _begun[path].start()


def check(path: Path, known: ImageSet = MNIST) -> None:
    """Raises InputError if the file can't be read, DamagedError if it is not the data set's."""
    if thread := _begun.pop(path, None):
        thread.join()
    if path not in _contents and path not in _packed:
        data = _intact(path, known)
        if not known.archive:
            _packed[path] = data


def take(path: Path, known: ImageSet = MNIST) -> bytes:
    """Return the content of a file, and forget it. Raises what `check` raises."""
    if known.archive:
        return _of_archive(path.parent / known.archive, f"gzip/{path.name}")
    check(path, known)
    return _contents.pop(path, None) or unpacked(_packed.pop(path))


def _of_archive(path: Path, name: str) -> bytes:
    try:
        with ZipFile(path) as archive:
            return unpacked(archive.read(name))  # this checks its CRC sum
    except (OSError, BadZipFile, KeyError) as error:
        raise DamagedError(f"{path}: damaged, or without {name} ({error})") from error


def unpacked(data: bytes) -> bytes:
    """The content of a gzip file, or `data` that are none; not all of a damaged one."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    with suppress(zlib.error):
        return zlib.decompressobj(wbits=31).decompress(data, MAX_UNPACKED)
    return b""


def is_intact(name: str, data: bytes, known: ImageSet = MNIST) -> bool:
    summed = unpacked(data) if known.by_content else data
    return hashlib.md5(summed, usedforsecurity=False).hexdigest() == known.sums[name]


def _intact(path: Path, known: ImageSet) -> bytes:
    """The file as it is or, if its sum is of that, its content."""
    try:
        with path.open("rb") as file:
            data = file.read(known.max_bytes)
    except OSError as error:
        raise InputError(f"paths.data_dir: cannot read {path}: {error.strerror}") from error
    data = unpacked(data) if known.by_content else data
    if not is_intact(path.name, data, known):
        raise DamagedError(f"{path}: damaged; expected the MD5 sum {known.sums[path.name]}")
    return data
