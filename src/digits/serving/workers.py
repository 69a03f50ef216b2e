"""The processes that read images, seen from the server."""

import asyncio
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from digits.errors import InputError
from digits.machine import cores
from digits.serving import worker
from digits.serving.limits import Limits
from digits.serving.worker import (
    LENGTH_BYTES,
    LONGEST_ANSWER,
    READY,
    TAKEN,
    FaultError,
    NonsenseError,
)

if TYPE_CHECKING:
    from digits.images.drawing import Drawing  # takes 0.3 s: a process is started before

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Reader:
    """One process, started when it is needed, and again after it had to be ended."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.started: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self.streams: Streams | None = None

    def start(self) -> None:
        if self.started is None:
            self.started = worker.start(self.limits.pixels)

    async def read(self, data: bytes) -> "Drawing":
        """Raises InputError if `data` is no image, FaultError if the server is at fault."""
        try:
            source = await self._handed_over(data)
            async with asyncio.timeout(self.limits.read_s):
                answer = await _answer(source)
        except TimeoutError as error:
            self.stop()
            raise InputError(f"takes over {self.limits.read_s:g} s to read") from error
        except (OSError, EOFError) as error:
            self.stop()
            raise InputError("more than its decoder copes with") from error
        except BaseException:  # nobody waits any more, and its next answer is this image's
            self.stop()
            raise
        try:
            return worker.heard(answer)
        except NonsenseError:
            self.stop()
            raise

    async def _handed_over(self, data: bytes) -> asyncio.StreamReader:
        """The stream with the answer. A process that died or was stopped while it was idle is
        replaced: the image is not to blame.
        """
        for _ in range(2):
            with suppress(TimeoutError, OSError):
                source, target = await self._connected()
                target.write(len(data).to_bytes(LENGTH_BYTES))
                target.write(data)
                async with asyncio.timeout(self.limits.take_s):
                    if await source.read(1) == TAKEN:
                        return source
            self.stop()
        raise FaultError("a process that reads images does not take them")

    async def _connected(self) -> Streams:
        self.start()
        if self.streams is None:
            assert self.started
            self.streams = await asyncio.open_connection(sock=self.started[1])
            if await self.streams[0].read(1) != READY:
                raise FaultError("a process that reads images does not start")
        return self.streams

    def stop(self) -> None:
        if self.streams:
            self.streams[1].transport.abort()
        if self.started:
            process, connection = self.started
            process.kill()
            process.wait()
            connection.close()
        self.started = self.streams = None


async def _answer(source: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await source.readexactly(LENGTH_BYTES))
    if length > LONGEST_ANSWER:
        raise NonsenseError("a process that reads images says too much")
    return await source.readexactly(length)


class Readers:
    """One for each core, four at most. Called early, `start_one` saves the first image a wait."""

    def __init__(self, limits: Limits) -> None:
        self.all = [Reader(limits) for _ in range(min(4, cores()))]
        self.idle: asyncio.LifoQueue[Reader] = asyncio.LifoQueue()
        for each in reversed(self.all):
            self.idle.put_nowait(each)

    def start_one(self) -> None:
        self.all[0].start()

    def start(self) -> None:
        for each in self.all:
            each.start()

    async def read(self, data: bytes) -> "Drawing":
        each = await self.idle.get()
        try:
            return await each.read(data)
        finally:
            self.idle.put_nowait(each)

    def close(self) -> None:
        for each in self.all:
            each.stop()
