"""The images a command line names, and reading them, many at a time."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from digits.errors import InputError
from digits.files import called
from digits.prediction.readers import Limits, Readers
from digits.text import flat

if TYPE_CHECKING:
    from digits.images.drawn import Drawing  # imports numpy: a process that reads starts before

STDIN = "-"
FOR_EACH = 100  # images: a process takes as long to start as to read 50
MAX_BYTES = 1 << 29
LIMITS = Limits(pixels=1 << 26, seconds=60, memory=8 << 30)  # as the largest phones' photos have

Read = tuple[str, "Drawing | InputError"]


def named(arguments: Sequence[str]) -> list[str]:
    """The files that files, folders, patterns and `-` on a command line name, each once, in order.
    A folder or a pattern without an image stands for itself: reading it says so.
    """
    paths = (path for argument in arguments for path in _one(argument) or [argument])
    return list(dict.fromkeys(paths))


def _one(argument: str) -> list[str]:
    if argument == STDIN or os.path.isfile(argument):
        return [argument]
    if not os.path.isdir(argument):
        return sorted(filter(os.path.isfile, glob.glob(argument, recursive=True)))
    from PIL import Image

    from digits.images import decode

    read = decode.kinds() | {"MPO"}  # by which Pillow means a JPEG of several pictures
    found, others = [], Counter[str]()
    for folder, _, names in os.walk(argument):
        for name in (name for name in names if not name.startswith(".")):
            ending = os.path.splitext(name)[1].lower()
            if Image.EXTENSION.get(ending) in read:
                found.append(os.path.join(folder, name))
            else:
                others[ending or "without ending"] += 1
    if others:
        told = ", ".join(f"{count} {flat(ending)}" for ending, count in sorted(others.items()))
        hint = f"; {decode.NEEDS_HEIC}" if others.keys() & {".heic", ".heif"} else ""
        print(f"{flat(argument)}: passed over {told}{hint}", file=sys.stderr)
    return sorted(found)


@contextmanager
def reading(paths: Sequence[str], few: int = 0) -> Iterator[Iterator[Read]]:
    """Each path with its drawing, or why it has none, in order. Other processes read, on all cores,
    unless there are fewer than `few`.
    """
    if len(paths) < few:
        from digits.prediction import reading

        yield map(partial(_read, reading.read, b""), paths)
        return
    with closing(Readers(LIMITS, -(-len(paths) // FOR_EACH))) as readers:
        readers.start()
        stdin = sys.stdin.buffer.read(MAX_BYTES) if STDIN in paths and sys.stdin else b""
        threads = ThreadPoolExecutor(len(readers.all))
        try:
            yield threads.map(partial(_read, readers.read, stdin), paths)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _read(read: Callable[[bytes], "Drawing"], stdin: bytes, path: str) -> Read:
    try:
        return path, read(_content(path, stdin))
    except InputError as error:
        return path, InputError(f"{flat(path)}: {error}")
    except OSError as error:
        return path, InputError(f"{flat(path)}: {error.strerror or error}; expected an image file")


def _content(path: str, stdin: bytes) -> bytes:
    if path == STDIN and sys.stdin is None:
        raise InputError("standard input is closed; expected an image")
    if path == STDIN:
        return stdin
    if "://" in path:
        raise InputError(f"an address; expected a file: curl -L ADDRESS | {called('predict')} -")
    if os.path.isdir(path) or (not os.path.lexists(path) and glob.has_magic(path)):
        raise InputError("no image there; expected a file, a folder or a pattern")
    if not os.path.exists(path):
        raise InputError("no such file; expected an image file, a folder or a pattern")
    if not os.path.isfile(path):
        raise InputError("not a file; expected an image file")
    if os.path.getsize(path) > MAX_BYTES:
        raise InputError(f"over {MAX_BYTES >> 20} MiB; expected an image file")
    return Path(path).read_bytes()
