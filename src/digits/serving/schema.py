"""What the API takes and returns, for OpenAPI and on the wire."""

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from digits.data.mnist import CLASSES
from digits.prediction import explanation
from digits.prediction.network import Weights
from digits.prediction.predictor import Prediction
from digits.serving.uploads import FIELD

Probability = Annotated[float, Field(ge=0, le=1)]


class Digit(BaseModel):
    """`digit`, `probability`, `probabilities` are null for a blank image and for several digits;
    `box` is left, upper, right, lower in pixels; `seen` is the 28x28 PNG the model was shown, in
    base64.
    """

    digit: Annotated[int, Field(ge=0, le=9)] | None
    probability: Probability | None
    probabilities: (
        Annotated[list[Probability], Field(min_length=CLASSES, max_length=CLASSES)] | None
    )
    note: Annotated[str, Field(examples=["", "blank", "not sure", "2 digits"])]
    box: Annotated[list[int], Field(min_length=4, max_length=4)] | None
    seen: Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})] | None
    why: Annotated[
        explanation.Why | None, Field(description="If asked for, and the model's kind allows it.")
    ]


class Answer(Digit):
    digits: Annotated[list[Digit], Field(description="Several digits, from left to right.")]
    steps: Annotated[
        str | None,
        Field(
            description="If asked for, a PNG: the picture, its paper's light, the ink and the "
            "strokes that count, from left to right.",
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ]


class Health(BaseModel):
    """`test_accuracy` and `test_images` are null if the run says nothing of this checkpoint."""

    status: str
    model: str
    test_accuracy: Probability | None
    test_images: int | None
    report: Annotated[bool, Field(description="Whether /report is the run's report.")]


class Problem(BaseModel):
    detail: str


REASONS = {
    400: "Another host than a loopback address, or no HTTP request",
    403: "Sent by another site's page",
    404: "The model's kind does not allow it",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "Neither an image nor a form, or an image of another kind",
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
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/heic")
BODY = {
    "required": True,
    "description": "A PNG, JPEG, WebP, GIF, BMP or HEIC image of up to 10 MiB and 16 megapixels.",
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


def answer(
    prediction: Prediction,
    weights: Weights | None = None,
    instead_of: int | None = None,
    layers: Sequence[NDArray[np.float32]] = (),
) -> Answer:
    """With `weights`, it says why each digit, and not `instead_of` or the next likeliest."""
    whole, *parts = (_fields(each, weights, instead_of) for each in (prediction, *prediction.parts))
    strip = (255 * np.hstack(layers) + 0.5).astype(np.uint8) if layers else None
    steps = None if strip is None else base64.b64encode(png(strip)).decode()
    return Answer(**whole, digits=[Digit(**part) for part in parts], steps=steps)


def _fields(
    prediction: Prediction, weights: Weights | None, instead_of: int | None
) -> dict[str, Any]:
    digit, seen, why = prediction.digit, prediction.seen, None
    if weights and digit is not None and seen is not None:
        why = explanation.of(weights, seen, digit, instead_of)
    picture = None if seen is None else base64.b64encode(png(seen))
    return prediction.told() | {"seen": picture, "why": why}


def png(pixels_HW: NDArray[np.uint8]) -> bytes:
    """Return a grey PNG; Pillow takes ten times as long for one this small."""
    height, width = pixels_HW.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels_HW)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts
