"""A process that reads images for the server. One that hangs, crashes or takes too much memory is
replaced, and on Linux and macOS it can't write a file.

It sends a byte when it is ready. Then, for each image, it gets length and bytes, sends a byte when
they come, and sends length and JSON of a Drawing or an error. A decoder that was taken over must
not reach the server.
"""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits.errors import InputError
from digits.files import PACKAGE
from digits.serving.limits import SIGNATURES
from digits.text import flat

if TYPE_CHECKING:
    from digits.images.drawing import Drawing
    from digits.images.glyph import Glyph  # importing them takes 0.3 s: a process is started before

LENGTH_BYTES = 4
LONGEST_ANSWER = 1 << 20  # bytes; a digit takes 1,100
LONGEST_LINE = 200  # of an error
LONGEST_SIDE = 1 << 24  # pixels; no image has as many in all
READY = b"!"
TAKEN = b"?"
FORMATS = tuple(SIGNATURES)
MEMORY_BYTES = 3 << 30  # of addresses; 16 Mpx take a third
CODE = "from digits.serving import worker; worker.main({})"


class FaultError(Exception):
    """The server is at fault. The message quotes nothing of the image."""


class NonsenseError(FaultError):
    """A process answers in another way than `main`: it can't be relied on any more."""


def brief(error: BaseException) -> str:
    """Which error, and where: messages may quote what a client sent."""
    if isinstance(error, FaultError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(each.filename).name}:{each.lineno}" for each in place)
    return f"{type(error).__name__}{where}"


def start(max_pixels: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process and the server's end of the socket, in 2 ms; the process is ready in 0.5 s."""
    ours, theirs = socket.socketpair()
    search = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, search)),
        "OPENBLAS_NUM_THREADS": "1",
    }
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", CODE.format(max_pixels)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # where decoders in C complain
            env=env,
        )
    return process, ours


def main(max_pixels: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; EOF ends `main`
    from digits.images import drawing

    with suppress(InputError):
        drawing.read(_png(), max_pixels, FORMATS)  # imports what is imported late
    _restrict()
    with socket.socket(fileno=os.dup(0)) as connection, connection.makefile("rwb") as file:
        connection.sendall(READY)
        while length := file.read(LENGTH_BYTES):
            connection.sendall(TAKEN)
            answer: tuple[str, Any]
            try:
                data = file.read(int.from_bytes(length))
                answer = "glyphs", _told(drawing.read(data, max_pixels, FORMATS))
            except InputError as error:
                answer = "input", str(error)
            except Exception as error:
                answer = "fault", brief(error)
            packed = json.dumps(answer).encode()
            file.write(len(packed).to_bytes(LENGTH_BYTES) + packed)
            file.flush()


def _told(drawing: "Drawing") -> list[dict[str, Any]]:
    glyphs = [drawing.whole, *drawing.parts] if drawing.whole else []
    return [
        {"box": each.box, "pixels": base64.b64encode(each.pixels_HW.tobytes()).decode()}
        for each in glyphs
    ]


def heard(packed: bytes) -> "Drawing":
    """The drawing in an answer. Raises the InputError or FaultError that it reports, and
    NonsenseError if it is no answer.
    """
    from digits.images.drawing import Drawing

    try:
        kind, said = json.loads(packed)
        if kind == "glyphs" and isinstance(said, list):
            glyphs = [_glyph(each) for each in said]
            return Drawing(glyphs[0], tuple(glyphs[1:])) if glyphs else Drawing(None)
        error = {"input": InputError, "fault": FaultError}[kind](flat(said)[:LONGEST_LINE])
    except Exception as nonsense:
        raise NonsenseError("a process that reads images makes no sense") from nonsense
    raise error


def _glyph(told: dict[str, Any]) -> "Glyph":
    import numpy as np

    from digits.data.mnist import SIDE
    from digits.images.glyph import Glyph

    values = np.frombuffer(base64.b64decode(told["pixels"], validate=True), np.uint8)
    left, upper, right, lower = box = told["box"]
    if not all(type(number) is int and 0 <= number <= LONGEST_SIDE for number in box):
        raise ValueError
    return Glyph(values.reshape(SIDE, SIDE), (left, upper, right, lower))


def _png() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return file.getvalue()


def _restrict() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with suppress(ValueError, OSError):  # macOS has it in name only
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
