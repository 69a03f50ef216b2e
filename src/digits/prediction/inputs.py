"""The images a command line names, and reading them, many at a time."""

import glob
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path

from PIL import Image

from digits.errors import InputError
from digits.images import drawing
from digits.images.decode import UNSAFE
from digits.images.drawing import Drawing
from digits.machine import cores
from digits.text import flat

STDIN = "-"
FEW = 150  # fewer are read in this process: starting others takes half a second
MAX_BYTES = 1 << 29

Read = tuple[str, Drawing | InputError]


def named(arguments: Sequence[str]) -> list[str]:
    """The files that files, folders, patterns and `-` on a command line name, each once, in order.
    Raises InputError for a folder or a pattern without an image.
    """
    paths: dict[str, None] = {}
    for argument in arguments:
        found = _one(argument)
        if not found:
            raise InputError(f"{argument}: no image there; expected a file, a folder or a pattern")
        paths.update(dict.fromkeys(found))
    return list(paths)


def _one(argument: str) -> list[str]:
    if argument == STDIN or not os.path.isdir(argument):
        if argument == STDIN or os.path.lexists(argument) or not glob.has_magic(argument):
            return [argument]  # if it is missing, reading it says so
        return sorted(filter(os.path.isfile, glob.glob(argument, recursive=True)))
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(argument)
        for name in names
        if os.path.splitext(name)[1].lower() in _endings() and not name.startswith(".")
    )


@cache
def _endings() -> frozenset[str]:
    Image.init()
    return frozenset(ending for ending, kind in Image.EXTENSION.items() if kind not in UNSAFE)


@contextmanager
def reading(paths: Sequence[str]) -> Iterator[Iterator[Read]]:
    """Each path with its drawing, or why it has none, in order; many are read on all cores."""
    if len(paths) < FEW:
        yield map(_read, paths)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of torch's threads
    pool = ProcessPoolExecutor(cores(), spawn)
    try:
        with _interrupts_held():
            reads = pool.map(_read, paths, chunksize=16)
        yield reads
    except BrokenProcessPool as error:
        raise InputError("a process that reads images was killed: too little memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started inside never get Ctrl+C, which a terminal sends to all: this one ends them.
    It gets Ctrl+C itself at the end of the block.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # now: its start would let signals through
    came: list[int] = []  # other threads, such as OpenBLAS's, may still get one
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        for number in came:
            signal.raise_signal(number)


def _read(path: str) -> Read:
    try:
        return path, drawing.read(_content(path))
    except InputError as error:
        return path, InputError(f"{flat(path)}: {error}")
    except OSError as error:
        return path, InputError(f"{flat(path)}: {error.strerror or error}; expected an image file")


def _content(path: str) -> bytes:
    if path == STDIN and sys.stdin is None:
        raise InputError("standard input is closed; expected an image")
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES)
    if not os.path.exists(path):
        raise InputError("no such file; expected an image file, a folder or a pattern")
    if not os.path.isfile(path):
        raise InputError("not a file; expected an image file")
    if os.path.getsize(path) > MAX_BYTES:
        raise InputError(f"over {MAX_BYTES >> 20} MiB; expected an image file")
    return Path(path).read_bytes()
