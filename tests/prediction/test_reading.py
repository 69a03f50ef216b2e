"""Which reading of a picture is taken."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from digits.images.drawn import Drawing, Glyph
from digits.prediction import reading
from digits.prediction.predictor import Prediction
from support.drawn import large
from support.image_files import encoded


def drawing(score: float, digit: int = 1) -> Drawing:
    return Drawing(Glyph(np.full((28, 28), 255 * score, np.uint8), (digit, 0, 1, 1)))


class Judge:
    """Sure from 0.6 on."""

    def predict(self, drawings: list[Drawing]) -> list[Prediction]:
        return [self.one(each.whole) for each in drawings]

    def one(self, glyph: Glyph | None) -> Prediction:
        if glyph is None:
            return Prediction(None, None, None, "blank", None, None)
        score = glyph.pixels_HW.mean() / 255
        note = "" if score > 0.6 else "not sure"
        return Prediction(glyph.box[0], 1.0, None, note, None, None, score=score)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(reading, "judge", Judge)
    return []


def guesses(looked: list[float], *scores: float, digits: str = "11111") -> Iterator[Drawing]:
    for score, digit in zip(scores, digits, strict=False):
        looked.append(score)
        yield drawing(score, int(digit))


def test_a_first_reading_that_none_can_beat_is_the_last(looked: list[float]) -> None:
    taken = reading.best(guesses(looked, 0.86, 1.0, digits="12"))
    assert taken.whole
    assert taken.whole.pixels_HW.mean() == 219
    assert looked == [0.86]


@pytest.mark.parametrize(
    ("scores", "digits", "level"),
    [
        ((0.4, 0.2, 1.0, 0.8), "1111", 255),
        ((0.4, 0.2), "11", 102),
        ((0.6, 0.8), "12", 204),  # 0.68 of 0.8 counts
        ((0.6, 0.7), "12", 153),  # 0.595
        ((0.7, 1.0), "12", 255),  # the first was sure, of another digit
        ((0.7, 1.0), "11", 178),  # it was sure of the same: by the way that needs the least
        ((0.7, 0.9, 1.0), "121", 178),
        ((0.4, 1.0), "11", 255),
        ((0.4, 0.55), "11", 102),  # neither is sure
        ((0.4, 0.5, 0.7, 1.0), "1211", 178),
    ],
)
def test_else_the_likeliest_is_taken(
    looked: list[float], scores: tuple[float, ...], digits: str, level: int
) -> None:
    taken = reading.best(guesses(looked, *scores, digits=digits))
    assert taken.whole
    assert taken.whole.pixels_HW.mean() == level
    assert looked == list(scores)


def test_many_digits_in_two_lines_are_several() -> None:
    """More than "not sure" has learned from."""
    rising = [255 - large(number, 240, (20, 60 - 20 * number)) for number in (1, 2, 3)]
    page = np.vstack([np.hstack(rising)] * 2)
    (found,) = reading.judge().predict([reading.read(encoded(page))])
    assert found.note == "6 digits"
    assert [part.digit for part in found.parts] == [0, 4, 1, 0, 4, 1]


@pytest.mark.parametrize(
    ("number", "digit", "contrast", "width", "table"),
    [
        (2, 4, 0.75, 12, None),
        (5, 2, 0.75, 12, None),
        (2, 4, 0.75, 12, 50),  # all of the sheet is light ink at first
        (5, 2, 0.75, 12, 50),
        (2, 4, 0.5, 22, None),  # fingers wider than strokes, as dark as these
        (7, 3, 0.5, 22, None),
    ],
)
def test_the_shadow_of_fingers_is_no_part_of_a_digit(
    number: int, digit: int, contrast: float, width: int, table: int | None
) -> None:
    page = 230 * (1 - contrast * large(number).astype(np.float64) / 255)
    shade = Image.new("L", page.shape)
    for x in (30, 90, 150, 210):
        ImageDraw.Draw(shade).line([(x, 300), (x + 20, 90)], fill=255, width=width)
    page *= 1 - 0.4 * ndimage.gaussian_filter(np.asarray(shade) / 255, 2)
    page += np.random.default_rng(0).normal(0, 2.5, page.shape)
    if table is not None:
        page = np.pad(page, 60, constant_values=table)
    drawn = reading.read(encoded(np.uint8(np.clip(page, 0, 255))))
    (found,) = reading.judge().predict([drawn])
    assert found.digit == digit
    assert table or found.is_sure


def test_a_blank_picture_stays_blank(looked: list[float]) -> None:
    assert reading.best(iter([Drawing(None), Drawing(None)])) == Drawing(None)
    found = reading.best(iter([Drawing(None), drawing(0.2)]))
    assert found.whole  # another way shows something


def test_layers_are_from_0_to_1(looked: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside black, the light that is guessed for white paper may be more than white."""
    over = replace(drawing(0.9), layers=(np.array([[-0.01, 0.5, 1.01]], np.float32),))
    monkeypatch.setattr(reading.drawing, "guesses", lambda *_: iter([over]))
    (layer_HW,) = reading.read(b"", layers=True).layers
    assert layer_HW.tolist() == [[0, 0.5, 1]]
    assert reading.read(b"").layers == ()
