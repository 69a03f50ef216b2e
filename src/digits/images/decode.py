"""An image file's content to pixels. Shapes: H W pixels."""

import warnings
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from digits.errors import InputError
from digits.images.ink import Grey

MAX_PIXELS = 1 << 26  # 67 million, of the largest phone cameras' photos
UNSAFE = {"EPS", "WMF", "FITS", "GRIB", "HDF5", "BUFR", "MPEG"}  # run programs, or hold no pixels


def upright(
    data: bytes, max_pixels: int, formats: tuple[str, ...] | None, side: int
) -> tuple[Image.Image, tuple[int, int]]:
    """The first frame, upright, and the size it has in the file: a large JPEG is decoded at a
    fraction of that, at least `side` pixels long. Raises InputError as `drawing.read` does.
    """
    Image.init()
    safe = tuple(Image.OPEN.keys() - UNSAFE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes: max_pixels decides
            image = Image.open(BytesIO(data), formats=formats or safe)
            if image.width * image.height > max_pixels:
                raise InputError(
                    f"{image.width}x{image.height} pixels; expected at most {max_pixels} in all"
                )
            size = image.size
            image.draft(None, (side, side))  # in colour: ink may differ from paper in that alone
            image.load()
            upright = ImageOps.exif_transpose(image)
            return upright, size if upright.size == image.size else size[::-1]
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of all kinds
        raise InputError("not an image that Pillow reads, or damaged") from error


def grey(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "transparency" in image.info:
        return _without_alpha(image.convert("RGBA"))
    if image.mode[0] in "IF":  # 16 and 32 bits: files differ in what white is
        return _spread(np.asarray(image, dtype=np.float32))
    return image.convert("L")


def _spread(values_HW: Grey) -> Image.Image:
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
