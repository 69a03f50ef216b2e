"""Asking `src/serve.py` over many connections, with little of the cores it needs itself."""

import asyncio
import io
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from PIL import Image, ImageOps

from digits.data import idx
from digits.data.mnist import TEST

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import ROOT

SIDE = 280


def drawings(number: int) -> list[tuple[bytes, int]]:
    """MNIST's test images, enlarged, dark on white as PNG; and their labels."""
    images, labels = idx.read(ROOT / "data" / "MNIST" / "raw", TEST)
    made = []
    for pixels_HW, label in zip(images[:number], labels[:number], strict=True):
        image = Image.fromarray(pixels_HW.numpy()).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        ImageOps.invert(image).save(file, "PNG")
        made.append((file.getvalue(), int(label)))
    return made


def requests(images: list[tuple[bytes, int]], port: int) -> list[tuple[bytes, int]]:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Content-Type: image/png\r\nContent-Length: "
    )
    return [(f"{head}{len(data)}\r\n\r\n".encode() + data, label) for data, label in images]


@dataclass
class Load:
    """What the connections share: what to ask, how many more times, and what came of it."""

    asked: list[tuple[bytes, int]]  # whole requests, and the digits they show
    left: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    right: int = 0


class Client(asyncio.Protocol):
    """One connection: asks, reads the answer, asks again."""

    numbers = count()

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""
        self.begin = 0.0
        self.label = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.load.open += 1
        self.ask()

    def ask(self) -> None:
        if self.load.left == 0:
            self.transport.close()
            return
        self.load.left -= 1
        request, self.label = self.load.asked[next(self.numbers) % len(self.load.asked)]
        self.begin = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self.load.seconds.append(time.perf_counter() - self.begin)
        if head.startswith(b"HTTP/1.1 200"):
            self.load.right += body.startswith(b'{"digit":%d,' % self.label)
        else:
            self.load.errors.append(head[:40].decode("latin-1"))
        self.buffer = b""
        self.label = -1
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.label != -1:
            self.load.errors.append("the connection ended")
        self.load.open -= 1
        if self.load.open == 0:
            self.load.done.set()


async def drive(port: int, load: Load, connections: int) -> float:
    """Seconds it took."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await load.done.wait()
    return time.perf_counter() - begin
