"""Reading what torch.save wrote, as data: nothing in the file is run, and it can't grow beyond its
size.

`weights_only=True` runs no code, but unpacks what is packed and makes `bytearray(10**11)` when told
to. A file of ours is stored unpacked and names a dozen types; any other is refused before torch
sees it.
"""

import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from digits.errors import InputError

MAX_BYTES = 1 << 30  # hidden_size=65536 with AdamW has 625 MB
MAX_PICKLE_BYTES = 1 << 18  # all but the tensors; ours have 10 KB
STORED = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Byte", "Bool")
TYPES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in STORED),
}
OTHER_WAYS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def load(path: Path) -> Any:
    """The content of `path`, its tensors on the CPU.

    Raises OSError where it cannot be read, InputError where it is nothing that our own runs wrote.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check(archive, path.stat().st_size)
            file.seek(0)
            with warnings.catch_warnings(action="ignore"):
                return torch.load(file, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # half a dozen kinds, of zipfile, pickletools and torch
            raise InputError("not a checkpoint of train.py's, or damaged") from error


def _check(archive: zipfile.ZipFile, file_bytes: int) -> None:
    """Raises ValueError, or whatever zipfile and pickletools make of nonsense."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if file_bytes > MAX_BYTES or sum(entry.file_size for entry in entries) > file_bytes:
        raise ValueError("too large")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("packed")
    if len(set(names)) < len(names):
        raise ValueError("two entries of one name")
    (pickle,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
    if pickle.file_size > MAX_PICKLE_BYTES:
        raise ValueError("too much besides tensors")
    for operation, argument, _ in pickletools.genops(archive.read(pickle)):
        if operation.name in OTHER_WAYS or (operation.name == "GLOBAL" and argument not in TYPES):
            raise ValueError(f"{operation.name} {argument}")
    for entry in entries:
        with archive.open(entry) as content:  # checks the CRC of what is read to its end
            while content.read(1 << 20):
                pass
