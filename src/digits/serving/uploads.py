"""Take the image from a request, its body or a form's one file, within limits and in memory."""

import asyncio
import re

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from digits.serving.limits import SIGNATURES, Limits

FIELD = "image"
MAX_HEAD_BYTES = 512  # of a form's part, and of a Content-Type
ACCEPTED = f"an image/* type, application/octet-stream or multipart/form-data with a file {FIELD}"
PARAMETER = re.compile(r';\s*([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


async def image(request: Request, limits: Limits) -> bytes:
    """Return the bytes of the request's image. Raises HTTPException with the reason if it can't."""
    given = request.headers.get("content-type", "")
    given = given if len(given) <= MAX_HEAD_BYTES else ""
    kind = given.partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if not (is_form or kind.startswith("image/") or kind == "application/octet-stream"):
        raise HTTPException(415, f"Content-Type: expected {ACCEPTED}")
    try:
        async with asyncio.timeout(limits.body_s):
            data = await _body(request, limits.body_bytes)
    except TimeoutError as error:
        late = f"the body took over {limits.body_s:g} s"
        raise HTTPException(408, late, {"Connection": "close"}) from error
    if is_form:
        data = one_file(data, parameter(given, "boundary"))
    check_is_image(data)
    return data


async def _body(request: Request, most: int) -> bytes:
    too_large = HTTPException(413, f"over {most >> 20} MiB")
    if int(request.headers.get("content-length", 0)) > most:  # h11 checked it
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise too_large
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection ended before the body") from error
    return bytes(body)


def parameter(header: str, name: str) -> str | None:
    """Return the value of `name` in `kind; name=value; name="value"`. The standard library's parser
    also takes RFC 2231's continuations and character sets, and raises many kinds of errors.
    """
    for key, quoted, plain in PARAMETER.findall(header):
        if key.lower() == name:
            return plain or re.sub(r"\\(.)", r"\1", quoted)
    return None


def one_file(body: bytes, boundary: str | None) -> bytes:
    """Return the content of a form's field `image`. The usual parsers write files to the disk, and
    take seconds for a body that is full of boundaries.
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
    """Raises HTTPException for a file that is no image of an accepted kind."""
    if not data:
        raise HTTPException(422, "empty; expected an image")
    if not any(re.match(start, data, re.DOTALL) for start in SIGNATURES.values()):
        raise HTTPException(415, f"expected a {', '.join(SIGNATURES)} image")
