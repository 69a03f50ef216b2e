"""Bodies that are made to hurt whoever decodes them, a few of each kind. Each is built."""

import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageDraw

from digits.serving.limits import SIGNATURES
from support.image_files import encoded

PNG = SIGNATURES["PNG"]
KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def corpus() -> dict[str, bytes]:
    parts = (pngs, headers, jpegs, animations, other_kinds, damaged)
    return {f"{part.__name__}: {name}": body for part in parts for name, body in part()}


def page(kind: str, mode: str = "RGB", size: tuple[int, int] = (64, 64), **more: Any) -> bytes:
    image = Image.new("RGB", size, "white")
    width, height = size
    ImageDraw.Draw(image).line(
        [(width // 4, height // 4), (3 * width // 4, 3 * height // 4)], fill="black", width=5
    )
    return encoded(image.convert(mode), kind, **more)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    width: int = 8,
    height: int = 8,
    depth: int = 8,
    colour: int = 0,
    before: bytes = b"",
    rows: bytes | None = None,
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = zlib.compress(bytes(height * (width + 1))) if rows is None else rows
    return PNG + chunk(b"IHDR", header) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def pngs() -> Iterator[tuple[str, bytes]]:
    zeros = zlib.compress(bytes(50_000_000), 9)  # 50 kB
    yield "text, 100 times", png(before=chunk(b"zTXt", b"a\0\0" + zeros) * 100)
    yield "colour profile", png(before=chunk(b"iCCP", b"a\0\0" + zeros))
    yield "exif, 5 MB", png(before=chunk(b"eXIf", b"MM\0*" + bytes(5_000_000)))
    yield "more rows than promised", png(rows=zeros)
    wide = zlib.compress(bytes(3990 * 32001), 9)
    yield "15.9 Mpx of 64 bits", png(4000, 3990, depth=16, colour=6, rows=wide)
    yield "100,000 chunks", png(before=chunk(b"teXt", b"") * 100_000)
    yield "no pixels", png(0, 0)
    yield "no palette", png(colour=3)
    yield "wrong checksum", png()[:-20] + b"\0\0\0\0" + png()[-16:]
    yield "length of 4 GB", PNG + b"\xff\xff\xff\xffIHDR" + bytes(13)
    yield "header twice", png(before=chunk(b"IHDR", struct.pack(">IIBBBBB", 9999, 9999, *[0] * 5)))


def headers() -> Iterator[tuple[str, bytes]]:
    yield "png", png(2**31 - 1, 2**31 - 1, rows=zlib.compress(b"\0"))
    yield "gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;"
    jpeg = page("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    yield "jpeg", jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :]
    for width, height in ((-1, 5), (30_000, 30_000)):
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        yield f"bmp {width}", b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + info + b"\x7f" * 946


def jpegs() -> Iterator[tuple[str, bytes]]:
    jpeg, progressive = page("JPEG"), page("JPEG", progressive=True)
    yield "60,000 segments", jpeg[:2] + b"\xff\xe5\x00\x02" * 60_000 + jpeg[2:]
    loop = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"
    yield "exif in circles", jpeg[:2] + b"\xff\xe1\x00" + bytes([len(loop) + 2]) + loop + jpeg[2:]
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield "progressive, 5,000 scans", progressive[:-2] + scan * 5_000 + b"\xff\xd9"
    yield "CMYK", page("JPEG", "CMYK")


def animations() -> Iterator[tuple[str, bytes]]:
    header, frame = b"GIF89a\x08\0\x08\0\0\0\0", b",\0\0\0\0\x08\0\x08\0\0\x02\x02\x4c\x01\0"
    yield "gif, 100,000 frames", header + frame * 100_000 + b";"
    yield "gif, comments without end", header + b"!\xfe" + (b"\xff" + bytes(255)) * 4_000


def other_kinds() -> Iterator[tuple[str, bytes]]:
    yield "eps that writes", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file"
    yield "bmp and eps", b"BM%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "riff and eps", b"RIFF\0\0\0\0WEBP%!PS-Adobe-3.0\n"
    yield "tiff", page("TIFF")
    yield "11 MB of zeros", bytes(11_000_000)


def damaged() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(1)
    for kind in KINDS:
        whole = page(kind)
        yield f"{kind}, half", whole[: len(whole) // 2]
        flipped = bytearray(whole)
        for at in rng.sample(range(10, len(whole)), k=min(12, len(whole) // 8)):
            flipped[at] ^= 1 << rng.randrange(8)
        yield f"{kind}, flipped bits", bytes(flipped)
