"""What any_image.py draws is what it says; what it measures is in benchmarks/results."""

import io

import any_image
import kinds
import nondigits
import numpy as np
import pytest
import tally
from PIL import Image

from support.commands import Outcome

EIGHT = np.zeros((28, 28), np.uint8)
EIGHT[4:24, 9:19] = 255
EIGHT[7:12, 12:16] = EIGHT[15:21, 12:16] = 0
NEED_FONTS = pytest.mark.usefixtures("fonts")
TEST = (EIGHT[None], np.array([8], np.uint8))
LOOKS = ("white paper", "phone photo", "outline", "dashed", "tight crop", "transparent", "EXIF")


@pytest.fixture(scope="session")
def fonts() -> None:
    if not all(map(nondigits.fonts, nondigits.HALVES)):
        pytest.skip("too few fonts are installed")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", LOOKS)
def test_a_picture_is_large_legible_and_the_same_each_time(kind: str) -> None:
    picture = kinds.picture(kind, 1, TEST)
    assert picture.digit == 8
    assert picture == kinds.picture(kind, 1, TEST) != kinds.picture(kind, 2, TEST)
    image = opened(picture.data)
    assert max(image.size) >= 100
    assert (image.mode == "RGBA") == (kind == "transparent")
    shown = np.asarray(image.getchannel("A") if kind == "transparent" else image.convert("L"))
    assert np.ptp(np.percentile(shown, [0.2, 99.8])) > 40  # the ink is 0.4 % of it or more


@pytest.mark.parametrize("kind", ["filled shapes", "blank", "noise", "scribbles"])
def test_what_is_no_digit_is_the_same_each_time(kind: str) -> None:
    pictures = [kinds.picture(kind, i, TEST) for i in range(8)]
    assert pictures[0] == kinds.picture(kind, 0, TEST) != pictures[1]
    for picture in pictures:
        assert picture.digit is None
        flat = np.ptp(np.asarray(opened(picture.data)), axis=(0, 1)).max() == 0
        assert flat == (picture.detail in ("white", "grey", "black", "coloured"))


def test_a_design_under_two_names_is_in_one_half() -> None:
    assert nondigits.half("DejaVu Sans Mono") == nondigits.half("Bitstream Vera Serif")
    assert nondigits.half("Liberation Sans") == nondigits.half("TeX Gyre Heros") == "choosing"
    assert nondigits.half("Kristi") == nondigits.half("kristi") == "measuring"


@NEED_FONTS
def test_the_halves_have_no_font_in_common() -> None:
    choosing, measuring = map(nondigits.families, nondigits.HALVES)
    assert not choosing.keys() & measuring.keys()


def test_no_digit_is_wrong_and_a_right_one_that_is_not_sure_is_right() -> None:
    said = [(7, ""), (7, "not sure"), (None, "2 digits"), (None, "blank")]
    rows = [
        tally.Row("white", i, 7, "", 0, digit, None, note) for i, (digit, note) in enumerate(said)
    ]
    assert tally.digits(rows) == {
        "n": 4,
        "right": 0.5,
        "wrong but sure": 0,
        "turned down": 0.75,
        "not sure": 1,
        "several": 1,
        "blank": 1,
    }
    assert tally.digits([rows[0]._replace(right=1)])["wrong but sure"] == 1
    nothing = [row._replace(right=None, detail="? vera") for row in rows]
    assert tally.others(nothing) == {"n": 4, "taken for a digit": 0.25, "most": {"?": 1}}


@pytest.mark.slow
@NEED_FONTS
def test_everything_is_measured_and_told(finished: Outcome) -> None:
    checkpoint = finished.folder / "checkpoints" / "last.ckpt"
    results, rows = any_image.measure(str(checkpoint), n=1, workers=0)
    assert results["checkpoint"]["accuracy"] == pytest.approx(finished.metrics["test/acc"])
    assert results["28x28 files"]["n"] == 40
    assert len(rows) == 40 + len(results["digits"]) + len(results["no digits"])
    told = tally.text(results).splitlines()
    assert max(map(len, told)) <= 100
    for kind in ("white paper", "8x8, bicubic", "scribbles", "letters", "mean"):
        assert any(line.startswith(kind) for line in told)
