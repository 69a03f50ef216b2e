"""Reading what torch.save wrote, as data: nothing in the file is run, and it can't grow beyond its
size.

`weights_only=True` runs no code, but unpacks what is packed and makes `bytearray(10**11)` when told
to. A file of ours is stored unpacked and names a dozen types; any other is refused before torch
sees it.
"""

import pickletools
import re
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from digits.errors import InputError

MAX_BYTES = 1 << 30  # hidden_size=65536 with AdamW has 625 MB
MAX_IN_MEMORY = 1 << 26
MAX_NODES = 100_000  # ours have hundreds, and one for each epoch
MAX_PICKLE_BYTES = 1 << 18  # all but the tensors; ours have 10 KB
STORED = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Byte", "Bool")
TYPES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in STORED),
}
PART = re.compile(
    r"\w+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)"
)
OTHER_WAYS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def load(path: Path) -> Any:
    """The content of `path`, its tensors on the CPU.

    Raises OSError where it cannot be read, InputError where it is nothing that our own runs wrote.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such file")
    with path.open("rb") as file, tempfile.SpooledTemporaryFile(MAX_IN_MEMORY) as checked:
        try:
            with zipfile.ZipFile(file) as given, zipfile.ZipFile(checked, "w") as copy:
                _copy(given, copy, path.stat().st_size)
            checked.seek(0)
            with warnings.catch_warnings(action="ignore"):
                content = torch.load(checked, map_location="cpu", weights_only=True)
            _check_size(content)
        except OSError:
            raise
        except Exception as error:  # half a dozen kinds, of zipfile, pickletools and torch
            raise InputError("not a checkpoint of train.py's, or damaged") from error
    return content


def _copy(given: zipfile.ZipFile, copy: zipfile.ZipFile, file_bytes: int) -> None:
    """Raises ValueError, or whatever zipfile and pickletools make of nonsense. What torch gets is
    the copy: it reads a zip in its own way, and would find other parts in one made for that.
    """
    entries = given.infolist()
    names = {entry.filename for entry in entries}
    if file_bytes > MAX_BYTES or sum(entry.file_size for entry in entries) > file_bytes:
        raise ValueError("too large")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("packed")
    if len(names) < len(entries) or not all(map(PART.fullmatch, names)):
        raise ValueError("other names")
    (pickle,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
    if pickle.file_size > MAX_PICKLE_BYTES:
        raise ValueError("too much besides tensors")
    for operation, argument, _ in pickletools.genops(given.read(pickle)):
        if operation.name in OTHER_WAYS or (operation.name == "GLOBAL" and argument not in TYPES):
            raise ValueError(f"{operation.name} {argument}")
    for entry in entries:
        name = "x/" + entry.filename.partition("/")[2]
        with given.open(entry) as source, copy.open(name, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 1 << 20)  # checks the CRC


def _check_size(content: Any) -> None:
    """Raises ValueError for lists in lists in lists: a copy of what they share would never end."""
    left, count = [content], 0
    while left:
        node = left.pop()
        count += 1
        if count > MAX_NODES:
            raise ValueError("too many parts")
        if isinstance(node, dict):
            left += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple | set):
            left += node
