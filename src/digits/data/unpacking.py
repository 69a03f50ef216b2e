"""Read and check each of MNIST's files once, and unpack it when it is used. The largest one is
unpacked ahead of time, while torch is imported, which keeps only one core busy.
"""

import gzip
import hashlib
from contextlib import suppress
from pathlib import Path
from threading import Thread

from omegaconf import DictConfig, OmegaConf

from digits.data.mnist import DATA_MODULE, MAX_BYTES, MD5, TRAIN
from digits.errors import InputError
from digits.files import DATA

_begun: dict[Path, Thread] = {}
_packed: dict[Path, bytes] = {}  # intact files, until their content is taken
_contents: dict[Path, bytes] = {}  # what was unpacked ahead of time


class DamagedError(InputError):
    """A file's MD5 sum is not that of MNIST's file."""


def raw_dir(data_dir: str | None) -> Path:
    return Path(data_dir or DATA) / "MNIST" / "raw"


def begin(cfg: DictConfig) -> None:
    """Let a thread unpack the file that a fit with these settings will read, if that is MNIST's."""
    target, data_dir = (OmegaConf.select(cfg, f"data.{name}") for name in ("_target_", "data_dir"))
    path = raw_dir(data_dir) / TRAIN[0]

    def work() -> None:
        with suppress(InputError):  # whoever takes it tries again and reports this
            _contents[path] = gzip.decompress(_intact(path))

    if target == DATA_MODULE and path not in _begun:
        _begun[path] = Thread(target=work, daemon=True)
        _begun[path].start()


def check(path: Path) -> None:
    """Raises InputError if the file can't be read, DamagedError if it is not MNIST's."""
    if thread := _begun.pop(path, None):
        thread.join()
    if path not in _contents and path not in _packed:
        _packed[path] = _intact(path)


def take(path: Path) -> bytes:
    """Return the content of one of MNIST's files, and forget it. Raises what `check` raises."""
    check(path)
    return _contents.pop(path, None) or gzip.decompress(_packed.pop(path))


def is_intact(name: str, packed: bytes) -> bool:
    return hashlib.md5(packed, usedforsecurity=False).hexdigest() == MD5[name]


def _intact(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(MAX_BYTES)
    except OSError as error:
        raise InputError(f"paths.data_dir: cannot read {path}: {error.strerror}") from error
    if not is_intact(path.name, packed):
        raise DamagedError(f"{path}: damaged; expected the MD5 sum {MD5[path.name]}")
    return packed
