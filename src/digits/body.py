"""The image in a request: its body, or the one file of a form, within the limits and in memory.
Raises HTTPException with the reason. No torch.
"""

import asyncio
from email import message_from_bytes
from email.message import Message

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from digits.limits import SIGNATURES, Limits

FIELD = "image"
MAX_HEAD_BYTES = 512  # of a form's part, and of a Content-Type: the parser takes their square
MAX_SCANS = 100  # a progressive JPEG has ten; each of 40 bytes can take 7 ms
BMP_RUN_LENGTHS = (b"\1\0\0\0", b"\2\0\0\0")  # Pillow's decoder for them is Python
ACCEPTED = f"an image/* type, application/octet-stream or multipart/form-data with a file {FIELD}"


class Bodies:
    """Reads bodies, and counts the bytes of those not yet answered."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held_bytes = 0

    async def image(self, request: Request, held: bytearray) -> bytes:
        """The image's bytes. `held` is what of the body is in memory: `release` it afterwards."""
        header = Message()
        given = request.headers.get("content-type", "text/plain")
        header["Content-Type"] = given if len(given) <= MAX_HEAD_BYTES else "text/plain"
        kind = header.get_content_type()
        is_form = kind == "multipart/form-data"
        if not (is_form or kind.startswith("image/") or kind == "application/octet-stream"):
            raise HTTPException(415, f"Content-Type: expected {ACCEPTED}")
        await self._read(request, held)
        data = bytes(held)
        if is_form:
            data = one_file(data, header.get_boundary())
        check_is_image(data)
        return data

    def release(self, held: bytearray) -> None:
        self.held_bytes -= len(held)

    async def _read(self, request: Request, held: bytearray) -> None:
        if int(request.headers.get("content-length", 0)) > self.limits.body_bytes:  # h11 checked it
            raise self._too_large()
        try:
            async with asyncio.timeout(self.limits.body_s):
                async for chunk in request.stream():
                    self._hold(held, chunk)
        except TimeoutError as error:
            late = f"the body took over {self.limits.body_s:g} s"
            raise HTTPException(408, late, {"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the connection ended before the body") from error

    def _hold(self, held: bytearray, chunk: bytes) -> None:
        if len(held) + len(chunk) > self.limits.body_bytes:
            raise self._too_large()
        if self.held_bytes + len(chunk) > self.limits.held_bytes:
            raise HTTPException(503, "too many images at once", {"Retry-After": "1"})
        held += chunk
        self.held_bytes += len(chunk)

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"over {self.limits.body_bytes >> 20} MiB")


def one_file(body: bytes, boundary: str | None) -> bytes:
    """What a form has in its field `image`. The usual parsers write files to the disk, and take
    seconds for a body that is all boundaries.
    """
    mark = f"\r\n--{boundary}".encode("latin-1", "replace")
    before, *parts = (b"\r\n" + body).split(mark, 2)
    is_whole = boundary is not None and before == b"" and parts[-1:] and parts[-1][:2] == b"--"
    if not is_whole or len(parts) != 2:
        raise HTTPException(422, f"multipart/form-data: expected one whole part, the file {FIELD}")
    head, _, content = parts[0].partition(b"\r\n\r\n")
    header = message_from_bytes(head[:MAX_HEAD_BYTES].lstrip())
    if header.get_param("name", header="content-disposition") != FIELD:
        raise HTTPException(422, f"multipart/form-data: expected {FIELD} as the file's name")
    return content


def check_is_image(data: bytes) -> None:
    """Refuses what takes a reader minutes for nothing, too."""
    if not data:
        raise HTTPException(422, "empty; expected an image")
    kinds = [kind for kind, start in SIGNATURES.items() if data.startswith(start)]
    if not kinds or (kinds == ["WebP"] and data[8:12] != b"WEBP"):
        raise HTTPException(415, f"expected a {', '.join(SIGNATURES)} image")
    if kinds == ["JPEG"] and data.count(b"\xff\xda") > MAX_SCANS:
        raise HTTPException(422, f"a JPEG of over {MAX_SCANS} scans")
    if kinds == ["BMP"] and data[30:34] in BMP_RUN_LENGTHS:
        raise HTTPException(422, "a run-length encoded BMP; expected a plain one")
