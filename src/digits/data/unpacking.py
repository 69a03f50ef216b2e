"""MNIST's files, checked and unpacked, the large one ahead of time: while torch is imported, which
keeps one core busy.
"""

import gzip
from contextlib import suppress
from pathlib import Path
from threading import Thread

from omegaconf import DictConfig, OmegaConf

from digits.data.mnist import DATA_MODULE, MD5, TRAIN, is_intact, read_packed
from digits.errors import InputError
from digits.files import DATA

_begun: dict[Path, tuple[Thread, list[bytes]]] = {}


def raw_dir(data_dir: str | None) -> Path:
    return Path(data_dir or DATA) / "MNIST" / "raw"


def begin(cfg: DictConfig) -> None:
    """Have a thread unpack what a fit with these settings will read, if that is MNIST's."""
    target, data_dir = (OmegaConf.select(cfg, f"data.{name}") for name in ("_target_", "data_dir"))
    path = raw_dir(data_dir) / TRAIN[0]
    if target != DATA_MODULE or path in _begun:
        return
    content: list[bytes] = []

    def work() -> None:
        with suppress(InputError, OSError):  # `unpacked` will try it again, and say so
            content.append(_unpacked(path))

    _begun[path] = thread, _ = Thread(target=work, daemon=True), content
    thread.start()


def unpacked(path: Path) -> bytes:
    """Raises InputError for a file that can't be read, or is damaged."""
    thread, content = _begun.pop(path, (None, []))
    if thread:
        thread.join()
    return content[0] if content else _unpacked(path)


def _unpacked(path: Path) -> bytes:
    packed = read_packed(path)
    if not is_intact(path.name, packed):  # it was intact when `ensure` looked
        raise InputError(f"{path}: damaged; expected the MD5 sum {MD5[path.name]}")
    return gzip.decompress(packed)
