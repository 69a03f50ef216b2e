"""Write a checkpoint as plain data, and read one that may come from anyone.

`weights_only=True` runs no code, but it unpacks compressed parts and makes `bytearray(10**11)` if a
file says so. A file of ours is not compressed and names a dozen types; any other is refused before
torch sees it.
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
    """Return `content` as plain dicts, lists, tuples, numbers, strings and tensors.

    Hyper-parameters that are no plain data (save_hyperparameters() also takes a network or an
    optimizer's factory) are left out, since the run's settings name them; so are a schedule's
    functions. Raises InputError for any other object in a state.
    """
    return {
        name: _plain_part(part) if name in OF_HYPER_PARAMETERS else _plain(part, name)
        for name, part in content.items()
    }


def _plain_part(value: Any) -> dict[str, Any]:
    """Return the plain hyper-parameters, without secrets; an empty dict if `value` is no dict."""
    kept = {}
    for name, part in value.items() if isinstance(value, dict) else ():
        with suppress(InputError):
            kept[str(name)] = _plain(part, str(name), redacted)
    return kept


def _plain(value: Any, name: str, of_text: Callable[[str], str] = str) -> Any:
    """Return `value` in plain types. Raises InputError, which calls it `name`, if it has none."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor):
        return value.detach() if isinstance(value, nn.Parameter) else value
    if isinstance(value, str):
        return of_text(str(value))  # a StrEnum becomes its text
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)  # an IntEnum becomes its number
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
MAX_NODES = 100_000  # a checkpoint of ours has hundreds, and one for each epoch
MAX_AT_ONCE = 1 << 21  # bytes without tensors; ours have 10 KB, and 600 for each weight
MAX_INT = 1 << 128  # the state of numpy's PCG64 is below
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
    """Limits how much is read at once: zipfile takes 27 s to read a list of 2 million entries."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:  # zipfile reads to the end for the last record
            size = MAX_AT_ONCE
        if size > MAX_AT_ONCE:
            raise ValueError("too much at once")
        return super().read(size)


def load(path: Path) -> Any:
    """Return the content of `path`, with its tensors on the CPU.

    Raises OSError if it cannot be read; ValueError, or whatever zipfile, pickletools and torch
    raise, if no run of ours wrote it.
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
    """Check a zip's parts, and copy them for torch: torch reads a zip in its own way, and in one
    made to deceive it would find other parts.
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
            shutil.copyfileobj(source, target, 1 << 20)  # this checks the CRC


def _copied(content: Any, bytes_left: int) -> Any:
    """Return a copy in plain dicts, lists, tuples, numbers, strings and tensors, without attributes
    that a pickle can add: an OrderedDict's, for example, may hide its methods.

    Raises ValueError for other kinds, for tensors that together exceed `bytes_left`, and for too
    many parts: the copy of lists that share their parts could go on for ever.
    """
    nodes_left = MAX_NODES

    def copied(node: Any) -> Any:
        nonlocal nodes_left, bytes_left
        nodes_left -= 1
        if isinstance(node, Tensor):  # a view of one value may have any size
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
        value.encode()  # raises for half a surrogate pair, which can't be printed
    elif isinstance(value, int) and abs(value) >= MAX_INT:
        raise ValueError("too large a number")
    elif not isinstance(value, int | float | None):
        raise ValueError("of another kind")
    return value
