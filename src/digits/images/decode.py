"""An image file's content to pixels. Shapes: H W pixels."""

import re
import warnings
from contextlib import suppress
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageStat

from digits.errors import InputError

MAX_PIXELS = 1 << 26  # 67 million, of the largest phone cameras' photos
UNSAFE = {"EPS", "WMF", "FITS", "GRIB", "HDF5", "BUFR", "MPEG"}  # run programs, or hold no pixels
ANIMATED, MAX_FRAMES = {"GIF", "PNG", "WEBP"}, 100
HEIC = re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL)
NEEDS_HEIC = "HEIC needs pip install -e '.[heic]'"


def upright(
    data: bytes, max_pixels: int, formats: tuple[str, ...] | None, side: int
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture (of an animation, the frame with most contrast) upright, and the size it has in
    the file: a large JPEG is decoded at a fraction of that, at least `side` pixels long. Raises
    InputError as `drawing.guesses` does.
    """
    is_heic = bool(HEIC.match(data))
    safe = kinds(is_heic)
    if is_heic and "HEIF" not in safe:
        raise InputError(NEEDS_HEIC)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes: max_pixels decides
            chosen = safe.intersection(map(str.upper, formats)) if formats else safe
            image = Image.open(BytesIO(data), formats=tuple(chosen))
            if image.width * image.height > max_pixels:
                raise InputError(
                    f"{image.width}x{image.height} pixels; expected at most {max_pixels} in all"
                )
            size = image.size
            _seek_fullest(image, max_pixels // (image.width * image.height))
            image.draft(None, (side, side))  # in colour: ink may differ from paper in that alone
            image.load()
            upright = ImageOps.exif_transpose(image)
            return upright, size if upright.size == image.size else size[::-1]
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of all kinds
        raise InputError("not an image that Pillow reads, or damaged") from error


def kinds(with_heic: bool = True) -> set[str]:
    """What Pillow calls the kinds of files that it reads and that are safe."""
    Image.init()
    if with_heic:
        with suppress(ImportError):
            from pi_heif import register_heif_opener

            register_heif_opener()
    return Image.OPEN.keys() - UNSAFE


def _seek_fullest(image: Image.Image, most: int) -> None:
    """Of an animation's first frames: a drawing that is shown as it grows begins blank."""
    contrasts = []
    if image.format in ANIMATED and getattr(image, "is_animated", False):
        with suppress(EOFError):
            for number in range(min(most, MAX_FRAMES)):
                image.seek(number)
                contrasts.append(ImageStat.Stat(grey(image)).stddev[0])
        image.seek(int(np.argmax(contrasts)))


def grey(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "transparency" in image.info:
        return _without_alpha(image.convert("RGBA"))
    if image.mode[0] in "IF":  # 16 and 32 bits: files differ in what white is
        return _spread(np.asarray(image, dtype=np.float32))
    return image.convert("L")


def _spread(values_HW: NDArray[np.float32]) -> Image.Image:
    finite = values_HW[np.isfinite(values_HW)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    kept_HW = np.clip(np.nan_to_num(values_HW, nan=low), low, high)
    return Image.fromarray(np.uint8((kept_HW - low) * (255 / max(high - low, 1e-9))))


def _without_alpha(image: Image.Image) -> Image.Image:
    """A drawing in one colour is where its alpha is; any other is laid on its median grey or, if
    most of it is transparent, on white or black, whichever contrasts.
    """
    alpha_HW, grey_HW = np.asarray(image.getchannel("A")), np.asarray(image.convert("L"))
    shown = grey_HW[alpha_HW > 127]
    if not shown.size:
        return Image.new("L", image.size)
    if shown.size < alpha_HW.size and np.ptp(np.percentile(shown, [1, 99])) < 24:
        return image.getchannel("A")
    opaque = 2 * shown.size > alpha_HW.size
    ground = float(np.median(shown)) if opaque else 255.0 * (shown.mean() < 128)
    share_HW = alpha_HW / np.float32(255)
    return Image.fromarray(np.uint8(grey_HW * share_HW + ground * (1 - share_HW)))
