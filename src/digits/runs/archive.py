"""Read a checkpoint that may come from anyone, as plain data. No code in it is run, and no torch is
needed: `torch.load` with `weights_only=True` runs no code either, but it unpacks compressed parts,
and makes `bytearray(10**11)` if a file says so.

A file of ours is a zip that is not compressed, and its pickle names a dozen types; any other is
refused before anything is made of it.
"""

import io
import math
import pickle
import pickletools
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 1 << 33  # hidden_size=65536 with AdamW has 625 MB
MAX_NODES = 100_000  # a checkpoint of ours has hundreds, and one for each epoch
MAX_AT_ONCE = 1 << 21  # bytes without tensors; ours have 10 KB, and 600 for each weight
MAX_INT = 1 << 128  # the state of numpy's PCG64 is below
KINDS = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "uint16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool",
}  # fmt: skip
STORAGES = {f"torch {kind}Storage": kind for kind in KINDS}
DICTS = {"collections Counter", "collections OrderedDict"}  # Counter: MultiStepLR's milestones
REBUILD = "torch._utils _rebuild_tensor_v2"
PART = re.compile(
    r"\w+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)"
)
OTHER_WAYS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}  # a number makes a list of that length

MakeTensor = Callable[[NDArray[Any], str], Any]


class Stored(NamedTuple):
    """A tensor: bytes of numbers of a kind, the first one's place, and the shape and its steps."""

    data: bytes
    kind: str
    first: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def view(self) -> NDArray[Any]:
        """Return its values. Raises ValueError, or whatever wrong kinds raise, if it reaches
        outside its bytes.
        """
        flat = np.frombuffer(self.data, KINDS[self.kind])
        if not all(type(n) is int and n >= 0 for n in (self.first, *self.shape, *self.steps)):
            raise ValueError("a tensor's sizes are no whole numbers from 0")
        reach = zip(self.shape, self.steps, strict=True)
        last = self.first + sum((length - 1) * step for length, step in reach)
        if math.prod(self.shape) and last >= len(flat):
            raise ValueError("a tensor reaches outside its values")
        steps = [step * flat.itemsize for step in self.steps]
        return np.lib.stride_tricks.as_strided(flat[self.first :], self.shape, steps)


class _Dict(dict[Any, Any]):
    def __setstate__(self, attributes: object) -> None:
        """Leave out what a pickle adds: it may hide a dict's methods."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, pickled: bytes, part: Callable[[str], bytes]) -> None:
        super().__init__(io.BytesIO(pickled))
        self.part = part
        self.parts: dict[str, bytes] = {}

    def find_class(self, module: str, name: str) -> Any:
        name = f"{module} {name}"
        return _Dict if name in DICTS else _rebuilt if name == REBUILD else STORAGES[name]

    def persistent_load(self, pid: Any) -> tuple[bytes, str]:
        _, kind, key, *_ = pid
        if key not in self.parts:
            self.parts[key] = self.part(key)
        return self.parts[key], kind


def _rebuilt(storage: tuple[bytes, str], first: Any, shape: Any, steps: Any, *_: object) -> Stored:
    return Stored(*storage, first, shape, steps)


class _File(io.FileIO):
    """Limits how much is read at once: zipfile takes 27 s to read a list of 2 million entries."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:  # zipfile reads to the end for the last record
            size = MAX_AT_ONCE
        if size > MAX_AT_ONCE:
            raise ValueError("too much at once")
        return super().read(size)


def content(path: Path, tensor: MakeTensor) -> Any:
    """Return the content of `path`; `tensor` makes each of its tensors of an array and the kind of
    its numbers (one of KINDS).

    Raises OSError if it cannot be read; ValueError, or whatever zipfile, pickle and pickletools
    raise, if no run of ours wrote it.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such file")
    with _File(path) as file, zipfile.ZipFile(file) as given:
        file_bytes = path.stat().st_size
        parts = _parts(given, file_bytes)
        pickled = _read(given, parts["data.pkl"])
        _check(pickled)
        found = _Unpickler(pickled, lambda key: _read(given, parts[f"data/{key}"])).load()
    return _copied(found, tensor, file_bytes)


def _parts(given: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    entries = given.infolist()
    names = {entry.filename for entry in entries}
    if file_bytes > MAX_BYTES or sum(entry.file_size for entry in entries) > file_bytes:
        raise ValueError("too large")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("packed")
    if len(names) < len(entries) or not all(map(PART.fullmatch, names)):
        raise ValueError("other names")
    return {entry.filename.partition("/")[2]: entry for entry in entries}


def _read(given: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    content = io.BytesIO()
    with given.open(entry) as source:
        shutil.copyfileobj(source, content, 1 << 20)  # this checks the CRC
    return content.getvalue()


def _check(pickled: bytes) -> None:
    """Raises ValueError for a pickle that could call anything, or that is too large."""
    if len(pickled) > MAX_AT_ONCE:
        raise ValueError("too much besides tensors")
    types = {*STORAGES, *DICTS, REBUILD}
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in OTHER_WAYS or (operation.name == "GLOBAL" and argument not in types):
            raise ValueError(f"{operation.name} {argument}")
        if operation.name in PUTS and int(argument or 0) > len(pickled):
            raise ValueError("more parts than bytes")


def _copied(content: Any, tensor: MakeTensor, bytes_left: int) -> Any:
    """Return a copy in plain dicts, lists, tuples, numbers, strings and tensors.

    Raises ValueError for other kinds, for tensors that together exceed `bytes_left`, and for too
    many parts: the copy of lists that share their parts could go on for ever.
    """
    nodes_left = MAX_NODES

    def copied(node: Any) -> Any:
        nonlocal nodes_left, bytes_left
        nodes_left -= 1
        values = node.view() if isinstance(node, Stored) else None
        if values is not None:  # a view of one value may have any size
            bytes_left -= values.nbytes
        if min(nodes_left, bytes_left) < 0:
            raise ValueError("too many parts, or more values than bytes")
        if values is not None:
            return tensor(values.copy(), node.kind)
        if isinstance(node, dict):
            return {_scalar(key): copied(value) for key, value in node.items()}
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


def floats(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """The tensors of a reader that has no torch."""
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == "BFloat16" else values
