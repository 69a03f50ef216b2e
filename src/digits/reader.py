"""A process of the server's that reads images: one that hangs, crashes or bursts is replaced, and
on Linux and macOS it can't write a file. No torch.

Over a socket: a byte when it is ready; then, each with its length before it, an image's bytes in
and a pickled Drawing or error out.
"""

import io
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from digits.errors import InputError

LENGTH_BYTES = 4
READY = b"!"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MEMORY_BYTES = 3 << 30  # of addresses; 16 Mpx take a third
CODE = "from digits import reader; reader.main({})"


class FaultError(Exception):
    """An error of ours. What it says has nothing of the image in it."""


def brief(error: BaseException) -> str:
    """Which error, and where: messages may quote what a client sent."""
    if isinstance(error, FaultError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" at {Path(each.filename).name}:{each.lineno}" for each in place)
    return f"{type(error).__name__}{where}"


def start(max_pixels: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process, and our end of the socket: 2 ms; it is ready in 0.5 s."""
    ours, theirs = socket.socketpair()
    search = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; EOF ends us
    from digits import image

    with suppress(InputError):
        image.read(_png(), max_pixels, FORMATS)  # imports what is imported late
    _restrict()
    with socket.socket(fileno=os.dup(0)) as connection, connection.makefile("rwb") as file:
        connection.sendall(READY)
        while length := file.read(LENGTH_BYTES):
            outcome: object
            try:
                outcome = image.read(file.read(int.from_bytes(length)), max_pixels, FORMATS)
            except InputError as error:
                outcome = InputError(str(error))
            except Exception as error:
                outcome = FaultError(brief(error))
            packed = pickle.dumps(outcome)
            file.write(len(packed).to_bytes(LENGTH_BYTES) + packed)
            file.flush()


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
