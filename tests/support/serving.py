"""Starting `src/serve.py`, or its parts in this process, and talking to it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image, ImageDraw

from digits.images.drawn import Drawing
from digits.prediction import reading
from digits.prediction.predictor import Prediction
from digits.serving import app
from digits.serving.limits import IMAGE, LIMITS, Limits
from serve import listen
from support import hostile
from support.commands import process
from support.image_files import encoded

PATIENCE_S = 60  # ends what hangs
SEVEN = [(80, 70), (205, 66), (180, 120), (130, 225)]


def drawn(kind: str = "PNG", side: int = 280, **options: Any) -> bytes:
    image = Image.new("L", (side, side), 255)
    points = [(x * side / 280, y * side / 280) for x, y in SEVEN]
    ImageDraw.Draw(image).line(points, fill=0, width=side // 14)
    return encoded(image, kind, **options)


@contextmanager
def command(*arguments: str, **options: Any) -> Iterator[tuple[Any, str]]:
    """`python src/serve.py` on a free port: the process, ready, and its URL."""
    with process("src/serve.py", "--port", "0", *arguments, **options) as run:
        line = run.stdout.readline()
        assert line, run.stderr.read()
        yield run, line.split()[0]


@dataclass
class Here:
    """A server in a thread of this process."""

    port: int
    server: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)


class Reading:
    """As Readers, without processes to start."""

    def start(self, number: int | None = None) -> None:
        pass

    close = start

    def read(self, data: bytes, layers: bool = False) -> Drawing:
        return reading.read(data, IMAGE.pixels, IMAGE.formats, layers)


MODEL = app.Model("a.ckpt")


@contextmanager
def here(predictor: Any, limits: Limits = LIMITS, model: app.Model = MODEL) -> Iterator[Here]:
    ready = threading.Event()
    with listen("127.0.0.1", 0) as listener:
        served = app.application(predictor, model, Reading(), limits=limits, ready=ready.set)
        made = app.server(served, limits)
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        assert ready.wait(PATIENCE_S)
        try:
            yield Here(listener.getsockname()[1], made)
        finally:
            made.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


class Stub:
    """A predictor that says 7, when `may_go` is set, and counts what it was asked."""

    weights = None

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.asked = 0

    def predict(self, drawings: list[Drawing]) -> list[Prediction]:
        self.asked += 1
        self.may_go.wait(PATIENCE_S)
        p_K = (0.0,) * 7 + (0.75,) + (0.125,) * 2
        seen = np.zeros((28, 28), dtype=np.uint8)
        return [Prediction(7, 0.75, p_K, "", (0, 0, 9, 9), seen) for _ in drawings]


def ask(url: str, data: bytes, kind: str = "image/png", **headers: str) -> httpx.Response:
    return httpx.post(
        f"{url}/predict",
        content=data,
        headers={"Content-Type": kind} | headers,
        timeout=PATIENCE_S,
        verify=False,  # reading the certificates takes longer than the answer
    )


def untrained(folder: Path) -> str:
    """A checkpoint of a small network: what it says matters to nobody here."""
    path = folder / "a.ckpt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path.write_bytes(hostile.saved(hostile.content()))
    return str(path)


def exchange(at: Here, data: bytes) -> str:
    """What comes back until the server ends the connection."""
    with at.connect() as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            return file.read().decode()


def ended(connection: socket.socket) -> bool:
    """Waits until the server ends it, whatever it says before."""
    with suppress(ConnectionResetError):
        while connection.recv(9999):
            pass
    return True


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def detail(response: httpx.Response) -> str:
    return f"{response.status_code} {response.json()['detail']}"
