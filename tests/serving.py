"""Starting `src/serve.py`, or its parts in this process, and talking to it."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw

from conftest import process
from digits import connections, server
from digits.image import Drawing
from digits.limits import LIMITS, Limits
from digits.predictor import Prediction
from digits.readers import Readers
from serve import listen

SEVEN = [(80, 70), (205, 66), (180, 120), (130, 225)]


def drawn(kind: str = "PNG", side: int = 280, **options: Any) -> bytes:
    image = Image.new("L", (side, side), 255)
    points = [(x * side / 280, y * side / 280) for x, y in SEVEN]
    ImageDraw.Draw(image).line(points, fill=0, width=side // 14)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@contextmanager
def command(*arguments: str, **options: Any) -> Iterator[tuple[Any, str]]:
    """`python src/serve.py` on a free port: the process, ready, and its URL."""
    with process("src/serve.py", "--port", "0", *arguments, **options) as run:
        line = run.stdout.readline()
        assert line, run.stderr.read()
        yield run, line.split()[0]


class Counted(Readers):
    finished = 0  # images read, or found to be none

    async def read(self, data: bytes) -> Drawing:
        try:
            return await super().read(data)
        finally:
            self.finished += 1


@dataclass
class Here:
    """A server in a thread of this process."""

    port: int
    server: Any
    readers: "Counted"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextmanager
def here(predictor: Any, limits: Limits = LIMITS) -> Iterator[Here]:
    ready = threading.Event()
    readers = Counted(limits)
    app = server.application(predictor, "a.ckpt", readers, limits=limits)
    made = connections.server(app, limits, ready.set)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=made.run, args=([listener],))
        thread.start()
        assert ready.wait(10)
        try:
            yield Here(listener.getsockname()[1], made, readers)
        finally:
            made.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


class Stub:
    """A predictor that says 7, when `may_go` is set, and remembers its batches."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.batches: list[int] = []

    def predict(self, drawings: list[Drawing]) -> list[Prediction]:
        self.batches.append(len(drawings))
        self.may_go.wait(20)
        p_K = (0.0,) * 7 + (0.75,) + (0.125,) * 2
        seen = np.zeros((28, 28), dtype=np.uint8)
        return [Prediction(7, 0.75, p_K, "", (0, 0, 9, 9), seen) for _ in drawings]


def ask(url: str, data: bytes, kind: str = "image/png", **headers: str) -> httpx.Response:
    return httpx.post(
        f"{url}/predict",
        content=data,
        headers={"Content-Type": kind} | headers,
        timeout=30,
        verify=False,  # reading the certificates takes longer than the answer
    )


def checkpoint(outputs: Path) -> str:
    (path,) = outputs.glob("**/checkpoints/best.ckpt")
    return str(path)


def detail(response: httpx.Response) -> str:
    return f"{response.status_code} {response.json()['detail']}"
