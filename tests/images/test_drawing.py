"""Any image becomes what MNIST would have made of it."""

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageDraw, ImageOps

from digits.errors import InputError
from digits.images import drawing
from digits.images.drawn import WAYS, Drawing
from digits.prediction import reading
from support.drawn import Pixels, large, seven, training
from support.image_files import encoded


def seen(data: bytes) -> Pixels:
    whole = reading.read(data).whole
    assert whole is not None
    return whole.pixels_HW


def differ(one: Pixels, other: Pixels) -> float:
    """Mean difference of two pictures, in grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


def test_a_training_digit_stays_what_it_is() -> None:
    images = training()[0][:30]
    differences = [differ(seen(encoded(digit)), digit) for digit in images]
    assert np.median(differences) < 8  # of 255: half a pixel of shift alone is 9
    shifted = [differ(np.roll(digit, 1, 1), digit) for digit in images]
    assert np.median(shifted) > 15


def test_it_is_centred_by_mass_and_fits_20_pixels() -> None:
    for number in range(8):
        pixels = seen(encoded(255 - large(number))).astype(float)
        rows, columns = np.flatnonzero(pixels.max(1) > 127), np.flatnonzero(pixels.max(0) > 127)
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
        middle = np.arange(28) + 0.5
        assert (pixels.sum(1) * middle).sum() / pixels.sum() == pytest.approx(14.5, abs=0.5)
        assert (pixels.sum(0) * middle).sum() / pixels.sum() == pytest.approx(14.5, abs=0.5)


def shaded(page: Pixels) -> Pixels:
    """Light that falls off to 45 % from left to right."""
    light = np.linspace(1, 0.45, page.shape[1])
    return (page * light).astype(np.uint8)


def in_shadow(page: Pixels) -> Pixels:
    page = page.copy()
    page[:, 150:] = page[:, 150:] * 0.6
    return page


def squared(page: Pixels) -> Pixels:
    lines = np.full_like(page, 255)
    lines[::25], lines[1::25], lines[:, ::25], lines[:, 1::25] = 190, 190, 190, 190
    return np.minimum(page, lines)


def noisy(page: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 12, page.shape)
    return np.clip(page * 0.8 + 20 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("damage", [shaded, in_shadow, squared, noisy])
def test_light_and_paper_do_not_matter(damage: object) -> None:
    assert callable(damage)
    for number in (0, 2, 4):
        page = 255 - large(number)
        assert differ(seen(encoded(damage(page))), seen(encoded(page))) < 8
        assert differ(damage(page), page) > 8  # or this would be no test


def test_polarity_does_not_matter() -> None:
    for number in range(4):
        page = large(number)
        assert differ(seen(encoded(page)), seen(encoded(255 - page))) < 4


def test_exif_turns_the_picture_upright() -> None:
    page = seven()
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    undo |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    for orientation, way in undo.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = page.transpose(Image.Transpose[way])
        turned = seen(encoded(stored, "JPEG", quality=95, exif=exif))
        assert differ(turned, seen(encoded(page, "JPEG", quality=95))) < 2, orientation


@cache
def modes() -> dict[str, bytes]:
    page = seven()
    black, white = Image.new("L", page.size, 0), Image.new("L", page.size, 255)
    ink = ImageOps.invert(page)
    shown_late = {"save_all": True, "append_images": [page, white]}
    deep = np.asarray(page, np.uint16) * 200 + 3000
    return {
        "1": encoded(page.convert("1", dither=Image.Dither.NONE)),
        "P": encoded(page.convert("RGB").quantize(8)),
        "RGB": encoded(page.convert("RGB")),
        "CMYK": encoded(page.convert("RGB").convert("CMYK"), "JPEG", quality=95),
        "I;16": encoded(Image.fromarray(deep)),
        "I": encoded(Image.fromarray(deep.astype(np.int32) * 1000), "TIFF"),
        "F": encoded(Image.fromarray(deep.astype(np.float32) / 9e4), "TIFF"),
        "LA": encoded(Image.merge("LA", (page, white))),
        "black on nothing": encoded(Image.merge("LA", (black, ink))),
        "white on nothing": encoded(Image.merge("LA", (white, ink))),
        "two colours on nothing": encoded(Image.merge("LA", (page.point(lambda v: v // 3), ink))),
        "GIF": encoded(page, "GIF"),
        "BMP": encoded(page, "BMP"),
        "WEBP": encoded(page.convert("RGB"), "WEBP", lossless=True),
        "PPM": encoded(page, "PPM"),
        "a GIF that begins blank": encoded(white, "GIF", **shown_late),
        "HEIC": (Path(__file__).parents[1] / "support" / "seven.heic").read_bytes(),
    }


@pytest.mark.parametrize("mode", modes())
def test_every_kind_of_pixels_is_read(mode: str) -> None:
    assert differ(seen(modes()[mode]), seen(encoded(seven()))) < 3


def test_a_small_digit_on_a_large_page_is_looked_at_closely() -> None:
    for side, close in ((200, 6), (50, 255)):  # the ink of fine print is 28 pixels high
        page = Image.new("L", (3000, 2000), 255)
        page.paste(seven().resize((side, side)), (2500, 300))
        whole = reading.read(encoded(page)).whole
        assert whole is not None
        assert differ(whole.pixels_HW, seen(encoded(seven()))) < close
        # seven() has ink from 53, 43 to 147, 165 of 200
        box = [
            x + edge * side / 200
            for x, edge in zip((2500, 300) * 2, (53, 43, 147, 165), strict=True)
        ]
        assert whole.box == pytest.approx(box, abs=8)


@pytest.mark.parametrize("width", [2, 3, 30])
def test_strokes_are_brought_towards_a_pens(width: int) -> None:
    ink = (seen(encoded(seven(width=width))) > 127).sum()
    inks = [(digit > 127).sum() for digit in training()[0]]
    assert 0.9 * min(inks) < ink < 1.1 * max(inks)


@pytest.mark.parametrize(("size", "width"), [(160, 1), (320, 1), (640, 2), (2000, 6)])
def test_the_thinnest_line_stays_whole(size: int, width: int) -> None:
    page = Image.new("L", (size, size), 255)
    ends = [(size // 2, size // 10), (size // 3, size * 9 // 10)]
    ImageDraw.Draw(page).line(ends, fill=0, width=width)
    rows = (seen(encoded(page)) > 127).sum(1)
    inked = np.flatnonzero(rows)
    assert 19 <= len(inked) == np.ptp(inked) + 1
    assert 1 <= rows[inked].mean() < 2


def test_several_digits_are_told_apart_in_reading_order() -> None:
    rising = [255 - large(number, 240, (20, 60 - 20 * number)) for number in (1, 2, 3)]
    row = np.hstack(rising)
    page = np.vstack([row, row])
    found = reading.read(encoded(page))
    places = [(part.box[1] // 240, part.box[0] // 240) for part in found.parts]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_pieces_of_one_digit_stay_together() -> None:
    page = Image.new("L", (200, 200), 255)
    draw = ImageDraw.Draw(page)
    draw.line([(60, 40), (150, 36)], fill=0, width=12)  # a 5, its bar apart from the rest
    draw.line([(60, 52), (60, 100), (130, 105), (140, 150), (60, 165)], fill=0, width=12)
    assert reading.read(encoded(page)).parts == ()


def test_print_around_a_digit_is_not_part_of_it() -> None:
    plain = seen(encoded(seven()))
    for box, width in (((30, 20, 170, 185), 3), ((30, 20, 170, 185), 6)):
        page = seven()
        ImageDraw.Draw(page).rectangle(box, outline=0, width=width)
        assert differ(seen(encoded(page)), plain) < 3
    page = Image.new("L", (400, 240), 255)
    page.paste(seven(), (100, 0))
    ImageDraw.Draw(page).line([(40, 200), (360, 200)], fill=0, width=4)  # to write on
    assert differ(seen(encoded(page)), plain) < 6


def test_a_sheet_on_a_table_is_where_the_digit_is() -> None:
    table = Image.new("L", (400, 320), 60)
    table.paste(seven(), (90, 60))
    assert differ(seen(encoded(table)), seen(encoded(seven()))) < 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_colours_of_one_brightness_are_told_apart(kind: str) -> None:
    mask = ImageOps.invert(seven())
    page = Image.composite(
        Image.new("RGB", mask.size, (213, 51, 51)), Image.new("RGB", mask.size, (64, 115, 77)), mask
    )
    assert np.ptp(np.asarray(page.convert("L"))) < 15  # or this would be no test
    assert differ(seen(encoded(page, kind, quality=90)), seen(encoded(seven()))) < 3
    plain = Image.new("RGB", (200, 200), (213, 51, 51))
    assert reading.read(encoded(plain, kind, quality=90)).whole is None


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned"])
def test_a_box_is_in_the_files_own_pixels(turned: bool) -> None:
    """A large JPEG is decoded at a fraction of its size."""
    page = Image.new("L", (2001, 2805), 255)
    page.paste(seven((200, 200)).resize((1000, 1000)), (500, 1200))
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    stored = page.transpose(Image.Transpose.ROTATE_90) if turned else page
    found = reading.read(encoded(stored, "JPEG", quality=95, exif=exif))
    assert found.whole is not None
    # seven() has ink from 53, 43 to 147, 165; a pixel of the page as it is looked at is 17.5
    assert found.whole.box == pytest.approx((765, 1415, 1235, 2025), abs=40)


@pytest.mark.parametrize("level", [0, 60, 255])
def test_an_empty_picture_is_blank(level: int) -> None:
    page = np.full((200, 300), level, np.uint8)
    assert reading.read(encoded(page)) == Drawing(None)
    noise = np.random.default_rng(0).normal(0, 6, page.shape)
    assert reading.read(encoded(np.uint8(np.clip(page + noise, 0, 255)))).whole is None
    assert reading.read(encoded(shaded(page))).whole is None
    assert reading.read(encoded(Image.new("RGBA", (50, 50)))).whole is None


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
def test_no_program_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, ghostscript = tmp_path / "ran", tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {ran}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # not looked for yet
    with pytest.raises(InputError, match="not an image that Pillow reads, or damaged"):
        reading.read(EPS)
    assert not ran.exists()


def test_what_is_no_picture_is_refused() -> None:
    png = encoded(seven())
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    for data in (b"", b"x", png[:60], png[: len(png) // 2], svg):
        with pytest.raises(InputError, match="not an image that Pillow reads, or damaged"):
            reading.read(data)
    with pytest.raises(InputError, match=r"^200x200 pixels; expected at most 39999 in all$"):
        reading.read(png, max_pixels=39999)


def test_heic_without_its_decoder_is_told_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(InputError, match=r"^HEIC needs pip install -e '\.\[heic\]'$"):
        reading.read(modes()["HEIC"])


def test_a_tiny_picture_is_enlarged_and_its_box_is_in_its_own_pixels() -> None:
    page = seven()
    whole, large_one = (reading.read(encoded(each)).whole for each in (page.reduce(16), page))
    assert whole
    assert large_one
    assert differ(whole.pixels_HW, large_one.pixels_HW) < 20
    assert np.abs(np.subtract(whole.box, np.divide(large_one.box, 16))).max() <= 1


@pytest.mark.parametrize(("noise", "rough"), [(0, False), (1.1, False), (1.5, True), (6, True)])
def test_ways_in_shadows_are_for_paper_that_is_not_plain(noise: float, rough: bool) -> None:
    """A standard deviation of 1.3 of 255 divides them."""
    small = Image.fromarray(np.asarray(large(1))).resize((160, 160))
    page = 230 - np.asarray(small, np.float64) * 0.8
    page += np.random.default_rng(0).normal(0, noise, page.shape)
    guesses = drawing.guesses(encoded(np.uint8(np.clip(page.round(), 0, 255))))
    ways = [each.whole.traits[-WAYS:].index(1) for each in guesses if each.whole]
    assert ways[:4] == [0, 2, 3, 4]
    assert (ways[4:7] == [5, 6, 7]) == rough
    assert ({5, 6, 7, 8} & set(ways) != set()) == rough
