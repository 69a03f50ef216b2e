"""The application: a page and a JSON API around a Predictor."""

import base64
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from digits.batching import Batcher, OverloadedError
from digits.body import FIELD, Bodies
from digits.errors import InputError
from digits.guard import Guard, Metrics
from digits.limits import LIMITS, Limits
from digits.predictor import Prediction, Predictor
from digits.readers import Readers

WEB = Path(__file__).with_name("web")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = {"index.html": "/", "docs.html": "/docs"}  # all else under its own name

Probability = Annotated[float, Field(ge=0, le=1)]


class Digit(BaseModel):
    """`digit`, `probability`, `probabilities` are null for a blank image and for several digits;
    `box` is left, upper, right, lower in pixels; `seen` is the 28x28 PNG the model was shown, in
    base64.
    """

    digit: Annotated[int, Field(ge=0, le=9)] | None
    probability: Probability | None
    probabilities: Annotated[list[Probability], Field(min_length=10, max_length=10)] | None
    note: Annotated[str, Field(examples=["", "blank", "not sure", "2 digits"])]
    box: Annotated[list[int], Field(min_length=4, max_length=4)] | None
    seen: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})] | None


class Answer(Digit):
    digits: Annotated[list[Digit], Field(description="Several digits, from left to right.")]


class Health(BaseModel):
    status: str
    model: str


class Problem(BaseModel):
    detail: str


REASONS = {
    400: "Not from a loopback address's page, or no HTTP request",
    403: "Asked by another site's page",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "Not a type, or not an image, that is read here",
    422: "An image that can't be read, or a form without one",
    500: "Our fault",
    503: "Too much to do; try again",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: BINARY["schema"]},
    "additionalProperties": False,
}
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")
BODY = {
    "required": True,
    "description": "A PNG, JPEG, WebP, GIF or BMP image of up to 10 MiB and 16 megapixels.",
    "content": {
        **dict.fromkeys((*IMAGES, "application/octet-stream"), BINARY),
        "multipart/form-data": {
            "schema": FORM,
            "encoding": {FIELD: {"contentType": ", ".join(IMAGES)}},
        },
    },
}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Problem, "description": REASONS[code]} for code in codes}


def application(
    predictor: Predictor,
    model: str,
    readers: Readers,
    only_local: bool = True,
    limits: Limits = LIMITS,
) -> Guard:
    """`model` is what /healthz calls it; `only_local` refuses other names of this machine."""
    metrics = Metrics()
    bodies = Bodies(limits)
    batcher = Batcher(predictor, readers, limits, metrics.batches.observe)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        readers.start()
        try:
            yield
        finally:
            batcher.close()

    app = FastAPI(
        title="Digits",
        version="1",
        description="Which digit is drawn in an image.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=problems(400, 500),
        exception_handlers={Exception: _our_fault},
    )

    @app.post(
        "/predict",
        response_model=Answer,
        responses=problems(403, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": BODY},
    )
    async def predict(request: Request) -> Response:
        """Which digit an image shows."""
        held = bytearray()
        try:
            data = await bodies.image(request, held)
            prediction = await batcher.predict(data)
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        except OverloadedError as error:
            raise HTTPException(503, "too much to do", {"Retry-After": "1"}) from error
        finally:
            bodies.release(held)
        return Response(answer(prediction).model_dump_json(), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> Health:
        return Health(status="ok", model=model)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics_text() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    paths = {"/predict", "/healthz", "/metrics", "/openapi.json"}
    for file in sorted(WEB.iterdir()):
        path = PAGES.get(file.name, f"/{file.name}")
        app.add_route(path, _static(file), include_in_schema=False)
        paths.add(path)
    return Guard(app, metrics, paths, only_local)


def answer(prediction: Prediction) -> Answer:
    return Answer(
        **_fields(prediction), digits=[Digit(**_fields(part)) for part in prediction.parts]
    )


def _fields(prediction: Prediction) -> dict[str, Any]:
    return {
        "digit": prediction.digit,
        "probability": prediction.probability,
        "probabilities": prediction.probabilities,
        "note": prediction.note,
        "box": prediction.box,
        "seen": None if prediction.seen is None else base64.b64encode(png(prediction.seen)),
    }


def png(pixels_HW: NDArray[np.uint8]) -> bytes:
    """A grey PNG; Pillow takes ten times as long for one this small."""
    height, width = pixels_HW.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels_HW)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _static(file: Path) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def static(request: Request) -> Response:
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=TYPES[file.suffix], headers=headers)

    return static


async def _our_fault(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "our fault, not the image's"}, 500)
