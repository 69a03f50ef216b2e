"""The image in a request: its body, or the one file of a form, within the limits and in memory.
Raises HTTPException with the reason.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from digits.serving.limits import SIGNATURES, Limits

FIELD = "image"
MAX_HEAD_BYTES = 512  # of a form's part, and of a Content-Type
MAX_SCANS = 100  # a progressive JPEG has ten; each of 40 bytes can take 7 ms
BMP_RUN_LENGTHS = (b"\1\0\0\0", b"\2\0\0\0")  # Pillow's decoder for them is Python
ACCEPTED = f"an image/* type, application/octet-stream or multipart/form-data with a file {FIELD}"
PARAMETER = re.compile(r';\s*([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


@dataclass(eq=False)
class Body:
    """The part of a request's body that is in memory."""

    since: float
    patience: asyncio.Timeout
    data: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_given_up: bool = False

    def byte_seconds(self, now: float) -> float:
        return 0 if self.is_whole else len(self.data) * (now - self.since)

    def give_up(self) -> None:
        self.is_given_up = True
        self.data.clear()
        if not self.patience.expired():
            self.patience.reschedule(self.since)  # long past


class Bodies:
    """Reads bodies. If all together are too large, one is given up: of those still being sent, the
    one that has held the most memory for the longest.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held: set[Body] = set()

    @asynccontextmanager
    async def image(self, request: Request) -> AsyncIterator[bytes]:
        """The image's bytes, counted among those held until the end of the block."""
        given = request.headers.get("content-type", "")
        given = given if len(given) <= MAX_HEAD_BYTES else ""
        kind = given.partition(";")[0].strip().lower()
        is_form = kind == "multipart/form-data"
        if not (is_form or kind.startswith("image/") or kind == "application/octet-stream"):
            raise HTTPException(415, f"Content-Type: expected {ACCEPTED}")
        body = Body(asyncio.get_running_loop().time(), asyncio.timeout(self.limits.body_s))
        self.held.add(body)
        try:
            await self._read(request, body)
            data = bytes(body.data)
            if is_form:
                data = one_file(data, parameter(given, "boundary"))
            check_is_image(data)
            yield data
        finally:
            self.held.remove(body)

    async def _read(self, request: Request, body: Body) -> None:
        if int(request.headers.get("content-length", 0)) > self.limits.body_bytes:  # h11 checked it
            raise self._too_large()
        try:
            async with body.patience:
                async for chunk in request.stream():
                    self._hold(body, chunk)
        except TimeoutError as error:
            if body.is_given_up:
                raise _too_many() from error
            late = f"the body took over {self.limits.body_s:g} s"
            raise HTTPException(408, late, {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the connection ended before the body") from error
        body.is_whole = True

    def _hold(self, body: Body, chunk: bytes) -> None:
        if body.is_given_up:  # but not told so yet
            raise _too_many()
        if len(body.data) + len(chunk) > self.limits.body_bytes:
            raise self._too_large()
        now = asyncio.get_running_loop().time()
        while sum(len(each.data) for each in self.held) + len(chunk) > self.limits.held_bytes:
            worst = max(self.held, key=lambda each: each.byte_seconds(now))
            if worst is body or not worst.byte_seconds(now):
                raise _too_many()
            worst.give_up()
        body.data += chunk

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"over {self.limits.body_bytes >> 20} MiB")


def _too_many() -> HTTPException:
    headers = {"Retry-After": "1", "Connection": "close"}  # what is left of the body isn't read
    return HTTPException(503, "too many images at once", headers)


def parameter(header: str, name: str) -> str | None:
    """From `kind; name=value; name="value"`. (The standard library's parser also takes RFC 2231's
    continuations and character sets, and raises errors of many kinds if they are odd.)
    """
    for key, quoted, plain in PARAMETER.findall(header):
        if key.lower() == name:
            return plain or re.sub(r"\\(.)", r"\1", quoted)
    return None


def one_file(body: bytes, boundary: str | None) -> bytes:
    """The content of a form's field `image`. The usual parsers write files to the disk, and take
    seconds for a body that is all boundaries.
    """
    mark = f"\r\n--{boundary}".encode("latin-1")
    before, *parts = (b"\r\n" + body).split(mark, 2)
    is_whole = boundary and before == b"" and parts[-1:] and parts[-1][:2] == b"--"
    if not is_whole or len(parts) != 2:
        raise HTTPException(422, f"multipart/form-data: expected one whole part, the file {FIELD}")
    head, _, content = parts[0].partition(b"\r\n\r\n")
    for line in head[:MAX_HEAD_BYTES].decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition" and parameter(value, "name") == FIELD:
            return content
    raise HTTPException(422, f"multipart/form-data: expected {FIELD} as the file's name")


def check_is_image(data: bytes) -> None:
    """Raises HTTPException for other files, and for images that are slow for no benefit."""
    if not data:
        raise HTTPException(422, "empty; expected an image")
    kinds = [kind for kind, start in SIGNATURES.items() if data.startswith(start)]
    if not kinds or (kinds == ["WebP"] and data[8:12] != b"WEBP"):
        raise HTTPException(415, f"expected a {', '.join(SIGNATURES)} image")
    if kinds == ["JPEG"] and data.count(b"\xff\xda") > MAX_SCANS:
        raise HTTPException(422, f"a JPEG of over {MAX_SCANS} scans")
    if kinds == ["BMP"] and data[30:34] in BMP_RUN_LENGTHS:
        raise HTTPException(422, "a run-length encoded BMP; expected a plain one")
