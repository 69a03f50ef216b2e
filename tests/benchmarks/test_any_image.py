"""What any_image.py draws is what it says; what it measures is in benchmarks/results."""

import io

import any_image
import canvases
import nondigits
import numpy as np
import pytest
import scribbles
import tally
from PIL import Image

from digits.prediction.predictor import Prediction
from support.commands import Outcome

EIGHT = np.zeros((28, 28), np.uint8)
EIGHT[4:24, 9:19] = 255
EIGHT[7:12, 12:16] = EIGHT[15:21, 12:16] = 0
NEED_FONTS = pytest.mark.usefixtures("fonts")
PHOTOS = ("linear shading", "vignette", "JPEG 30", "EXIF")


@pytest.fixture(scope="session")
def fonts() -> None:
    if not all(map(nondigits.fonts, nondigits.HALVES)):
        pytest.skip("too few fonts are installed")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def prediction(digit: int | None, note: str) -> Prediction:
    return Prediction(digit, None, None, note, None, None)


@pytest.mark.parametrize("kind", canvases.KINDS)
def test_a_canvas_is_large_legible_and_the_same_for_the_same_seed(kind: str) -> None:
    data = canvases.draw(kind, EIGHT, (1, 2))
    assert data == canvases.draw(kind, EIGHT, (1, 2)) != canvases.draw(kind, EIGHT, (1, 3))
    image = opened(data)
    assert image.format == ("JPEG" if kind in PHOTOS else "PNG")
    assert min(image.size) >= 116  # a box of 100 and two margins of 8
    assert (image.mode == "RGBA") == (kind == "transparent")
    shown = np.asarray(image.getchannel("A") if kind == "transparent" else image.convert("L"))
    assert np.ptp(np.percentile(shown, [0.2, 99.8])) > 40  # the ink is 0.4 % of it or more


@pytest.mark.parametrize("group", scribbles.GROUPS)
def test_things_that_are_no_digit_take_turns_and_follow_the_seed(group: str) -> None:
    kinds = list(scribbles.GROUPS[group])
    samples = scribbles.samples(group, len(kinds) + 1, seed=3)
    assert [sample.kind for sample in samples] == [*kinds, kinds[0]]
    assert samples[:1] == scribbles.samples(group, 1, seed=3) != scribbles.samples(group, 1, seed=4)
    for sample in samples:
        flat = np.ptp(np.asarray(opened(sample.data)), axis=(0, 1)).max() == 0
        assert flat == (sample.kind in ("white", "grey", "black", "coloured"))


def test_a_design_under_two_names_is_in_one_half() -> None:
    assert nondigits.half("DejaVu Sans Mono") == nondigits.half("Bitstream Vera Serif")
    assert nondigits.half("Liberation Sans") == nondigits.half("TeX Gyre Heros") == "choosing"
    assert nondigits.half("Kristi") == nondigits.half("kristi") == "measuring"


@NEED_FONTS
def test_the_halves_have_no_font_in_common() -> None:
    choosing, measuring = map(nondigits.families, nondigits.HALVES)
    assert not choosing.keys() & measuring.keys()


def test_no_digit_is_wrong_and_a_right_one_that_is_not_sure_is_right() -> None:
    read = [
        prediction(7, ""),
        prediction(7, "not sure"),
        prediction(None, "2 digits"),
        prediction(None, "blank"),
    ]
    row = tally.count(read, [7, 7, 7, 7], samples=2)
    assert row == {
        "n": 4,
        "accuracy": 0.5,
        "accuracies": [1.0, 0.0],
        "turned down": 0.75,
        "wrong but sure": 0.0,
        "sure": 1,
        "not sure": 1,
        "several": 1,
        "blank": 1,
    }
    assert tally.count(read[:1], [1])["wrong but sure"] == 1
    compared = tally.compared(row, np.array([0.98, 0.02]))
    assert compared["points each"] == pytest.approx([2, -2])
    assert compared["points"] == pytest.approx(0)


@pytest.mark.slow
@NEED_FONTS
def test_everything_is_measured_and_told(finished: Outcome) -> None:
    checkpoint = finished.folder / "checkpoints" / "last.ckpt"
    results = any_image.measure(str(checkpoint), n=3, workers=0)
    assert results["checkpoint"]["accuracy"] == pytest.approx(finished.metrics["test/acc"])
    assert results["canvases"].keys() == {"28x28", "28x28, as a file", *canvases.KINDS}
    assert {row["n"] for row in results["canvases"].values()} == {9}
    assert sum(row["n"] for row in results["not digits"]["letters"]["fonts"].values()) == 6
    assert results["not digits"]["all"]["n"] == 3 * 3 + 6
    told = tally.text(results).splitlines()
    assert max(map(len, told)) <= 100
    for kind in (*canvases.KINDS, "8x8, bicubic", "scribbles", "letters"):
        assert any(line.startswith(kind) for line in told)
