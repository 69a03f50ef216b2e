"""Processes that read images: a file that is made to hang, crash or swell its decoder ends one of
them, which is replaced, and nothing else.

Each gets on standard input whether layers are asked for, and an image's bytes; it answers with the
glyphs in it, or with an error, and with the layers: all bytes after their length. It may not write
files (not on Windows, which sets no limits at all).
"""

import os
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from queue import LifoQueue
from typing import IO, TYPE_CHECKING

from digits.data.mnist import SIDE
from digits.errors import InputError
from digits.files import python_path
from digits.machine import cores

if TYPE_CHECKING:  # numpy and scipy take 0.3 s: a process is started before
    import numpy as np

    from digits.images.drawn import Drawing

CODE = "from digits.prediction.readers import Limits, main; main({})"
LENGTH_BYTES = 4
READY, GLYPHS, INPUT, FAULT = b"!", b"g", b"i", b"f"  # how answers begin
LAYERS = b"l"  # how a question begins


@dataclass(frozen=True)
class Limits:
    """For an image: `formats` are Pillow's names, None for all that are safe."""

    pixels: int
    seconds: float
    memory: int  # bytes of addresses; 16 megapixels take one GiB
    formats: tuple[str, ...] | None = None


class FaultError(Exception):
    """The program is at fault. The message quotes nothing of the image."""


def brief(error: BaseException) -> str:
    """Which error, and where: messages may quote an image."""
    if isinstance(error, FaultError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(each.filename).name}:{each.lineno}" for each in place)
    return f"{type(error).__name__}{where}"


class Readers:
    """As many processes as there are cores, `most` at most, each started when it is needed. Any
    thread may call `read`.
    """

    def __init__(self, limits: Limits, most: int = 4) -> None:
        self.all = [Reader(limits) for _ in range(min(most, cores()))]
        self.idle: LifoQueue[Reader] = LifoQueue()
        for each in reversed(self.all):
            self.idle.put(each)

    def start(self, number: int | None = None) -> None:
        """So many, or all of them. Called early, it saves the first image half a second."""
        for each in self.all[:number]:
            each.start()

    def read(self, data: bytes, layers: bool = False) -> "Drawing":
        """Raises InputError if `data` is no image, FaultError if the program is at fault."""
        each = self.idle.get()
        try:
            return each.read(data, layers)
        finally:
            self.idle.put(each)

    def close(self) -> None:
        for each in self.all:
            each.close()


class Reader:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = self.is_closed = False

    def start(self) -> "subprocess.Popen[bytes]":
        if self.is_closed:
            raise FaultError("the processes that read images have ended")
        if self.process is None or self.process.poll() is not None:  # it died while it was idle
            self._end()
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", CODE.format(self.limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # where decoders in C complain
                env=os.environ | {"PYTHONPATH": python_path(), "OPENBLAS_NUM_THREADS": "1"},
            )
        return self.process

    def read(self, data: bytes, layers: bool) -> "Drawing":
        process = self.start()
        assert process.stdin
        assert process.stdout
        try:
            if not self.is_ready:
                _receive(process.stdout)
                self.is_ready = True
            _send(process.stdin, LAYERS if layers else b"")
            _send(process.stdin, data)
            answer = _receive(process.stdout), _receive(process.stdout)
        except (OSError, EOFError, ValueError) as error:  # the last of a pipe that `close` closed
            was_ready, code = self.is_ready, self._end()
            if not was_ready:
                raise FaultError("a process that reads images does not start") from error
            if code == -getattr(signal, "SIGALRM", 0):
                raise InputError(f"takes over {self.limits.seconds:g} s to read") from error
            raise InputError("more than its decoder copes with") from error
        return _heard(*answer)

    def close(self) -> None:
        self.is_closed = True
        self._end()

    def _end(self) -> int | None:
        """Gives the exit code."""
        process, self.process, self.is_ready = self.process, None, False
        if process is None:
            return None
        with suppress(OSError), process:
            process.kill()
        return process.returncode


def _send(file: IO[bytes], data: bytes) -> None:
    file.write(len(data).to_bytes(LENGTH_BYTES))
    file.write(data)
    file.flush()


def _receive(file: IO[bytes]) -> bytes:
    """Raises EOFError if the other side has ended."""
    length = file.read(LENGTH_BYTES)
    if len(length) == LENGTH_BYTES:
        data = file.read(int.from_bytes(length))
        if len(data) == int.from_bytes(length):
            return data
    raise EOFError


def _of_a_glyph() -> "np.dtype[np.void]":
    import numpy as np

    from digits.images.drawn import TRAITS

    parts = ("pixels_HW", "u1", (SIDE, SIDE)), ("box", "<i4", (4,)), ("traits", "<f4", (TRAITS,))
    return np.dtype(list(parts))


def _heard(answer: bytes, layers: bytes) -> "Drawing":
    """The drawing in an answer: never unpickled. Raises the error that it reports."""
    import numpy as np

    from digits.images.drawn import Drawing, Glyph

    kind, said = answer[:1], answer[1:]
    if kind != GLYPHS:
        raise (InputError if kind == INPUT else FaultError)(said.decode())
    glyphs = [
        Glyph(pixels_HW, tuple(box.tolist()), tuple(traits.tolist()))
        for pixels_HW, box, traits in np.frombuffer(said, _of_a_glyph())
    ]
    if not glyphs:
        return Drawing(None)
    seen = np.load(BytesIO(layers), allow_pickle=False) / np.float32(255) if layers else ()
    return Drawing(glyphs[0], tuple(glyphs[1:]), tuple(seen))


def main(limits: Limits) -> None:
    """What such a process does until its standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # some decoders print
        _warm_up()
        _restrict(limits)
        _send(out, READY)
        with suppress(EOFError):
            while True:
                layers, data = _receive(sys.stdin.buffer), _receive(sys.stdin.buffer)
                _set_alarm(limits.seconds)
                answer = _read(data, limits, layers == LAYERS)
                _set_alarm(0)
                for each in answer:
                    _send(out, each)


def _warm_up() -> None:
    """Import what is imported late, before the limits hold."""
    from digits.images import drawing
    from digits.prediction import reading

    drawing.read(_png())
    reading.judge()


def _read(data: bytes, limits: Limits, layers: bool) -> tuple[bytes, bytes]:
    import numpy as np

    from digits.prediction import reading

    try:
        found = reading.read(data, limits.pixels, limits.formats, layers)
    except InputError as error:
        return INPUT + str(error).encode(), b""
    except MemoryError:
        return INPUT + b"takes too much memory to read", b""
    except Exception as error:
        return FAULT + brief(error).encode(), b""
    glyphs = [found.whole, *found.parts] if found.whole else []
    parts = [(each.pixels_HW, each.box, each.traits) for each in glyphs]
    seen = BytesIO()
    if found.layers:
        np.save(seen, np.uint8(np.array(found.layers) * 255 + 0.5))
    return GLYPHS + np.array(parts, _of_a_glyph()).tobytes(), seen.getvalue()


def _png() -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return file.getvalue()


def _set_alarm(seconds: float) -> None:
    """Its signal ends the process, inside a decoder too."""
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _restrict(limits: Limits) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows; macOS has RLIMIT_AS in name only
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
