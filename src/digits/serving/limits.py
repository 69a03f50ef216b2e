"""Limits of what the server lets clients use. A proxy in front of it may allow less."""

from dataclasses import dataclass

from digits.images import decode
from digits.prediction import readers

# Pillow reads many more formats, but the readers try only these: browsers show them, and their
# decoders run no other program, write no file and print nothing, whatever the file
SIGNATURES = {  # regular expressions
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff",
    "WebP": b"RIFF....WEBP",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "HEIF": decode.HEIC.pattern,
}


@dataclass(frozen=True)
class Limits:
    """Limits in bytes and seconds."""

    body_bytes: int = 10 << 20
    head_bytes: int = 8 << 10
    connections: int = 200
    under_way: int = 64  # images that are arriving, or not answered yet
    body_s: float = 15  # from the headers' end to the body's
    answer_s: float = 8  # from the body's end to the prediction
    idle_s: int = 5  # between two requests of a connection
    stop_s: int = 4  # for requests under way when the server is stopped, which takes at most 5


LIMITS = Limits()
IMAGE = readers.Limits(pixels=16_000_000, seconds=5, memory=3 << 30, formats=tuple(SIGNATURES))
