"""What the server lets its clients use. A proxy in front may allow less."""

from dataclasses import dataclass

from digits.prediction import readers

# Pillow reads many more, but the readers try only these: browsers show them, and their decoders
# run no other program, write no file and print nothing, whatever they are given
SIGNATURES = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "JPEG": b"\xff\xd8\xff",
    "WebP": b"RIFF",
    "GIF": b"GIF8",
    "BMP": b"BM",
}


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds."""

    body_bytes: int = 10 << 20
    head_bytes: int = 8 << 10
    connections: int = 200
    under_way: int = 64  # images on their way, or not yet answered
    body_s: float = 15  # from the headers' end to the body's
    answer_s: float = 8  # from the body's end to the prediction
    idle_s: int = 5  # between two requests of a connection
    stop_s: int = 4  # for what is under way when the server is stopped: it ends within 5


LIMITS = Limits()
IMAGE = readers.Limits(pixels=16_000_000, seconds=5, memory=3 << 30, formats=tuple(SIGNATURES))
