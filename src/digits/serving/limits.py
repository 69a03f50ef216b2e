"""What the server lets its clients use."""

from dataclasses import dataclass

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
    """Bytes, pixels and seconds."""

    body_bytes: int = 10 << 20
    held_bytes: int = 64 << 20  # all bodies together
    pixels: int = 16_000_000
    under_way: int = 128  # images received and not yet answered
    batch: int = 64
    body_s: float = 15  # from the headers' end to the body's
    take_s: float = 2  # until a reader says that it has work: a sound one does so at once
    read_s: float = 5  # by a reader
    answer_s: float = 8  # from the body's end to the prediction
    connections: int = 200  # some systems let a process open 256 files
    headers_s: float = 10  # from a connection's start, or its last answer, to the headers' end
    request_s: float = 30  # for all of it, the client's reading of the answer included
    stop_s: int = 4  # for what is under way when the server is stopped: it ends within 5


LIMITS = Limits()
