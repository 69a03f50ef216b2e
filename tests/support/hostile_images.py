"""Bodies that are made to hurt whoever decodes them. Each is built, none is found."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageDraw

from digits.serving.limits import SIGNATURES
from support.image_files import encoded

PNG = SIGNATURES["PNG"]


def corpus() -> dict[str, bytes]:
    parts = (
        png_bombs,
        png_damage,
        huge_headers,
        odd_jpegs,
        animations,
        other_kinds,
        polyglots,
        nonsense,
        cut_short,
        flipped_bits,
        odd_but_sound,
    )
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
    *,
    depth: int = 8,
    colour: int = 0,
    interlaced: int = 0,
    before: bytes = b"",
    rows: bytes | None = None,
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(bytes(height * (width + 1))) if rows is None else rows
    return PNG + chunk(b"IHDR", header) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png_bombs() -> Iterator[tuple[str, bytes]]:
    zeros = zlib.compress(bytes(50_000_000), 9)  # 50 kB
    yield "text", png(before=chunk(b"zTXt", b"a\0\0" + zeros))
    yield "text, 100 times", png(before=chunk(b"zTXt", b"a\0\0" + zeros) * 100)
    yield "international text", png(before=chunk(b"iTXt", b"a\0\1\0\0\0" + zeros))
    yield "colour profile", png(before=chunk(b"iCCP", b"a\0\0" + zeros))
    yield "plain text, 9 MB", png(before=chunk(b"tEXt", b"a\0" + bytes(9_000_000)))
    yield "exif, 5 MB", png(before=chunk(b"eXIf", b"MM\0*" + bytes(5_000_000)))
    yield "more rows than promised", png(rows=zeros)
    yield "15.9 Mpx", png(4000, 3990, rows=zlib.compress(bytes(3990 * 4001), 9))
    yield "15.9 Mpx of one bit", png(4000, 3990, depth=1, rows=zlib.compress(bytes(3990 * 501), 9))
    yield (
        "15.9 Mpx of 64 bits",
        png(4000, 3990, depth=16, colour=6, rows=zlib.compress(bytes(3990 * 32001), 9)),
    )
    yield "17 Mpx", png(4200, 4100, depth=1, rows=zlib.compress(bytes(4100 * 526), 9))
    yield "100,000 chunks", png(before=chunk(b"teXt", b"") * 100_000)
    yield "zlib in zlib", png(rows=zlib.compress(zeros))


def png_damage() -> Iterator[tuple[str, bytes]]:
    yield "no rows", png(rows=b"")
    yield "rows not zlib", png(rows=b"\xff" * 100)
    yield "no pixels", png(0, 0)
    yield "no height", png(8, 0)
    yield "no palette", png(colour=3)
    yield "no such colour", png(colour=5)
    yield "no such depth", png(depth=3)
    yield "interlaced, too few rows", png(64, 64, interlaced=1, rows=zlib.compress(bytes(9)))
    yield "wrong checksum", png()[:-20] + b"\0\0\0\0" + png()[-16:]
    yield "palette of 7 bytes", png(colour=3, before=chunk(b"PLTE", bytes(7)))
    yield "transparency of 9 bytes", png(colour=2, before=chunk(b"tRNS", bytes(9)))
    yield "length of 4 GB", PNG + b"\xff\xff\xff\xffIHDR" + bytes(13)
    yield "negative gamma", png(before=chunk(b"gAMA", b"\xff" * 4))
    yield "header twice", png(before=chunk(b"IHDR", struct.pack(">IIBBBBB", 9999, 9999, *[0] * 5)))
    yield "only a signature", PNG


def huge_headers() -> Iterator[tuple[str, bytes]]:
    for width, height in ((2**31 - 1,) * 2, (65_535,) * 2, (16_000_001, 1), (1, 2**30)):
        yield f"png {width}x{height}", png(width, height, rows=zlib.compress(b"\0"))
    yield "gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;"
    jpeg = page("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    yield "jpeg", jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :]
    yield "jpeg 0x0", jpeg[:at] + bytes(4) + jpeg[at + 4 :]
    webp = page("WEBP", lossless=True)
    at = webp.index(b"VP8L") + 9
    yield "webp", webp[:at] + b"\xff\xff\xff\x0f" + webp[at + 4 :]
    for width, height in ((2**31 - 1, 2**31 - 1), (-1, 5), (5, -(2**31)), (30_000, 30_000)):
        yield f"bmp {width}x{height}", bmp(width, height)
    yield "bmp of 3 bits", bmp(8, 8, bits=3)
    yield "bmp, packed", bmp(64, 64, bits=8, packing=1)
    yield "bmp, no such packing", bmp(8, 8, packing=77)


def bmp(width: int, height: int, bits: int = 24, packing: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + info + b"\x7f" * 946


def odd_jpegs() -> Iterator[tuple[str, bytes]]:
    jpeg = page("JPEG")
    yield "no tables", jpeg[:2] + jpeg[jpeg.index(b"\xff\xc0") :]
    yield "60,000 segments", jpeg[:2] + b"\xff\xe5\x00\x02" * 60_000 + jpeg[2:]
    yield (
        "a profile of 200 parts",
        jpeg[:2]
        + b"".join(
            b"\xff\xe2\x00\x20ICC_PROFILE\0" + bytes([i, 200]) + bytes(16) for i in range(200)
        )
        + jpeg[2:],
    )
    for orientation in (0, 9, 65_535):
        exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
        exif += struct.pack(">HHI", orientation, 0, 0)
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        yield f"orientation {orientation}", jpeg[:2] + segment + jpeg[2:]
    loop = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"
    yield "exif in circles", jpeg[:2] + b"\xff\xe1\x00" + bytes([len(loop) + 2]) + loop + jpeg[2:]
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    yield "2,000 scans", jpeg[:-2] + scan * 2_000 + b"\xff\xd9"
    progressive = page("JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield "progressive, 5,000 scans", progressive[:-2] + scan * 5_000 + b"\xff\xd9"
    yield "only a start", b"\xff\xd8\xff"


def animations() -> Iterator[tuple[str, bytes]]:
    frames = [Image.new("L", (40, 40), i % 256) for i in range(500)]
    for kind in ("GIF", "PNG", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=1)
        yield f"{kind}, 500 frames", file.getvalue()
    header, frame = b"GIF89a\x08\0\x08\0\0\0\0", b",\0\0\0\0\x08\0\x08\0\0\x02\x02\x4c\x01\0"
    yield "gif, 100,000 frames", header + frame * 100_000 + b";"
    yield "gif, a frame beyond the screen", header + b",\xf0\xff\xf0\xff\xff\xff\xff\xff\0\x02\0;"
    yield "gif, comments without end", header + b"!\xfe" + (b"\xff" + bytes(255)) * 4_000
    yield "gif, packed nonsense", header + b",\0\0\0\0\x08\0\x08\0\0\x0c\xff" + b"\xff" * 255


def other_kinds() -> Iterator[tuple[str, bytes]]:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "svg", svg.encode()
    yield "svg with entities", b'<!DOCTYPE s [<!ENTITY a "' + b"b" * 999 + b'">]>' + svg.encode()
    yield "eps that writes", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file"
    yield "pdf", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"
    yield "psd", b"8BPS\0\1" + bytes(6) + b"\0\3" + b"\0\0\xff\xff" * 2 + b"\0\x08\0\3" + bytes(99)
    for kind in ("TIFF", "PPM", "TGA", "ICO", "PCX", "SGI", "DDS", "JPEG2000", "ICNS"):
        yield kind, page(kind)
    yield "zip", b"PK\x03\x04" + bytes(100)
    yield "gzip", b"\x1f\x8b\x08" + bytes(100)
    yield "html", b"<!doctype html><script>alert(1)</script>"
    yield "heic", b"\0\0\0\x18ftypheic" + bytes(100)
    yield "riff that is sound", b"RIFF\x24\0\0\0WAVEfmt " + bytes(30)


def polyglots() -> Iterator[tuple[str, bytes]]:
    yield "gif and script", b"GIF89a/*" + bytes(9) + b"*/=1;alert(1)"
    yield "png and zip", png() + b"PK\x03\x04" + bytes(1000)
    yield "png and html", png(before=chunk(b"tEXt", b"a\0<script>alert(1)</script>")) + b"<html>"
    yield "jpeg and php", page("JPEG", comment=b"<?php system('id'); ?>")
    yield "bmp and eps", b"BM%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    yield "riff and eps", b"RIFF\0\0\0\0WEBP%!PS-Adobe-3.0\n"


def nonsense() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(0)
    yield "nothing", b""
    yield "a byte", b"\0"
    yield "5 MB of zeros", bytes(5_000_000)
    yield "11 MB of zeros", bytes(11_000_000)
    for i in range(4):
        yield f"noise {i}", rng.randbytes(1000)
    for kind, start in SIGNATURES.items():
        yield f"{kind}, then noise", start + rng.randbytes(3000)
        yield f"{kind}, then zeros", start + bytes(3000)


def cut_short() -> Iterator[tuple[str, bytes]]:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        whole = page(kind)
        for share in (0.1, 0.5, 0.9):
            yield f"{kind} {share:.0%}", whole[: int(len(whole) * share)]


def flipped_bits() -> Iterator[tuple[str, bytes]]:
    rng = random.Random(1)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        for i in range(4):
            body = bytearray(page(kind))
            for at in rng.sample(range(10, len(body)), k=min(12, len(body) // 8)):
                body[at] ^= 1 << rng.randrange(8)
            yield f"{kind} {i}", bytes(body)


def odd_but_sound() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield f"png {mode}", page("PNG", mode)
    yield "jpeg CMYK", page("JPEG", "CMYK")
    for size in ((1, 1), (1, 4000), (4000, 1), (3, 3)):
        yield f"png {size}", page("PNG", "L", size)
