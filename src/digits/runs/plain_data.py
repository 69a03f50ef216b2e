"""A checkpoint as plain data: what is written, and what is read of a file of anyone's.

`weights_only=True` runs no code, but unpacks what is packed and makes `bytearray(10**11)` when told
to. A file of ours is stored unpacked and names a dozen types; any other is refused before torch
sees it.
"""

import io
import pickletools
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from digits.errors import InputError
from digits.text import flat, redacted

OF_HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_type")


def of_checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """`content` in plain dicts, lists, tuples, numbers, strings and tensors.

    Of hyper-parameters, which save_hyperparameters() takes from any argument (a network, say, or an
    optimizer's factory), the plain ones stay: the run's settings name the rest. A schedule's
    functions are left out, too. Raises InputError for any other object in a state.
    """
    return {
        name: _plain_part(part) if name in OF_HYPER_PARAMETERS else _plain(part, name)
        for name, part in content.items()
    }


def _plain_part(value: Any) -> dict[str, Any]:
    """What of hyper-parameters is plain, without secrets: nothing of what is no dict."""
    kept = {}
    for name, part in value.items() if isinstance(value, dict) else ():
        with suppress(InputError):
            kept[str(name)] = _plain(part, str(name), redacted)
    return kept


def _plain(value: Any, name: str, of_text: Callable[[str], str] = str) -> Any:
    """`value` in plain types. Raises InputError, calling it `name`, for what has none."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor):
        return value.detach() if isinstance(value, nn.Parameter) else value
    if isinstance(value, str):
        return of_text(str(value))  # a StrEnum's text
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)  # an IntEnum's number
    if isinstance(value, dict):
        return {
            _plain(key, name): _plain(part, f"{name}.{key!s}", of_text)
            for key, part in value.items()
            if not callable(part)
        }
    if isinstance(value, list | tuple):
        parts = [_plain(part, name, of_text) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    there_is = f"{type(value).__module__}.{type(value).__qualname__}"
    raise InputError(
        f"checkpoint: {flat(name)[:120]} is a {there_is}; expected plain data in the state of "
        "modules and callbacks: numbers, strings, lists, dicts, tensors"
    )


MAX_BYTES = 1 << 33  # hidden_size=65536 with AdamW has 625 MB
MAX_IN_MEMORY = 1 << 26
MAX_NODES = 100_000  # ours have hundreds, and one for each epoch
MAX_AT_ONCE = 1 << 21  # all but the tensors: 10 KB, and 600 a weight
MAX_INT = 1 << 128  # a state of numpy's PCG64
STORED = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
TYPES = {
    "collections Counter",  # MultiStepLR's milestones
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in STORED),
}
PART = re.compile(
    r"\w+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)"
)
OTHER_WAYS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


class _File(io.FileIO):
    """zipfile reads a list of entries at once, and 2 million of them take it 27 s."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:  # to the end, for a last record
            size = MAX_AT_ONCE
        if size > MAX_AT_ONCE:
            raise ValueError("too much at once")
        return super().read(size)


def load(path: Path) -> Any:
    """The content of `path`, its tensors on the CPU.

    Raises OSError where it cannot be read; ValueError, or whatever zipfile, pickletools and torch
    make of nonsense, where it is nothing that our own runs wrote.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such file")
    with _File(path) as file, tempfile.SpooledTemporaryFile(MAX_IN_MEMORY) as checked:
        file_bytes = path.stat().st_size
        with zipfile.ZipFile(file) as given, zipfile.ZipFile(checked, "w") as copy:
            _copy(given, copy, file_bytes)
        checked.seek(0)
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(checked, map_location="cpu", weights_only=True)
    return _copied(content, file_bytes)


def _copy(given: zipfile.ZipFile, copy: zipfile.ZipFile, file_bytes: int) -> None:
    """What torch gets is the copy: it reads a zip in its own way, and would find other parts in one
    made for that.
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
    if pickle.file_size > MAX_AT_ONCE:
        raise ValueError("too much besides tensors")
    for operation, argument, _ in pickletools.genops(given.read(pickle)):
        if operation.name in OTHER_WAYS or (operation.name == "GLOBAL" and argument not in TYPES):
            raise ValueError(f"{operation.name} {argument}")
    for entry in entries:
        name = "x/" + entry.filename.partition("/")[2]
        with given.open(entry) as source, copy.open(name, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 1 << 20)  # checks the CRC


def _copied(content: Any, bytes_left: int) -> Any:
    """In plain dicts, lists, tuples, numbers, strings and tensors, with nothing else that a pickle
    can hang on them: an OrderedDict's attributes, for one, may hide its methods.

    Raises ValueError for other kinds, for tensors that are larger together than `bytes_left`, and
    for lists in lists in lists: a copy of what they share would never end.
    """
    nodes_left = MAX_NODES

    def copied(node: Any) -> Any:
        nonlocal nodes_left, bytes_left
        nodes_left -= 1
        if isinstance(node, Tensor):  # a view of one value may claim any size
            bytes_left -= node.numel() * node.element_size()
        if min(nodes_left, bytes_left) < 0:
            raise ValueError("too many parts, or more values than bytes")
        if isinstance(node, Tensor):
            return node.detach().clone(memory_format=torch.contiguous_format)
        if isinstance(node, dict):
            return {_scalar(key): copied(value) for key, value in dict.items(node)}
        if isinstance(node, list | tuple):
            parts = [copied(part) for part in node]
            return tuple(parts) if isinstance(node, tuple) else parts
        return _scalar(node)

    return copied(content)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair can't be printed
    elif isinstance(value, int) and abs(value) >= MAX_INT:
        raise ValueError("too large a number")
    elif not isinstance(value, int | float | None):
        raise ValueError("of another kind")
    return value
