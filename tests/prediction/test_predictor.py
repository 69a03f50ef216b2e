"""Drawings to predictions: one digit, blank, not sure, several."""

from unittest import mock

import numpy as np
import pytest

from digits.images.drawn import Drawing, Glyph, Pixels
from digits.prediction import confidence, predictor
from digits.prediction.predictor import Predictor

DIGIT, LETTER = 7, 3  # the level of a glyph's first pixel, which the stand-ins go by


def glyph(*, surely: bool, digit: int = 4) -> Glyph:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[0, 0], pixels[0, 1] = DIGIT if surely else LETTER, digit
    return Glyph(pixels, (1, 2, 3, 4))


def network(images_NHW: Pixels) -> np.ndarray:
    """Sure of the digit in the second pixel."""
    return np.eye(10, dtype=np.float32)[images_NHW[:, 0, 1]] * 0.91 + np.float32(0.009)


class StandIn:
    temperature = 2.0

    def least(self, glyph: Glyph) -> float:
        return 0.5

    def score(self, glyphs: list[Glyph], p_NK: np.ndarray) -> np.ndarray:
        assert p_NK.max() < 0.6  # they are calibrated ones
        return np.array([0.5 if each.pixels_HW[0, 0] == DIGIT else 0.49 for each in glyphs])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setattr(confidence, "measured", StandIn)
    return Predictor(network)


def test_blank_sure_and_not_sure_are_told_apart(reads: Predictor) -> None:
    drawings = [
        Drawing(None),
        Drawing(glyph(surely=True, digit=3)),
        Drawing(glyph(surely=False, digit=8)),
    ]
    blank, three, eight = reads.predict(drawings)
    assert (blank.digit, blank.probability, blank.probabilities, blank.note) == (
        *[None] * 3,
        "blank",
    )
    assert (three.digit, three.note, three.box) == (3, "", (1, 2, 3, 4))
    # at temperature 2 the network's 0.919 and nine times 0.009 are in proportion to their roots
    assert three.probability == pytest.approx(0.5289, abs=1e-4)
    assert sum(three.probabilities or ()) == pytest.approx(1)
    assert (eight.digit, eight.note) == (8, "not sure")


@pytest.mark.parametrize(
    ("whole", "parts", "note"),
    [
        (False, (True, True), "2 digits"),
        (True, (True, True), "2 digits"),  # two digits may look like one
        (True, (True, False), ""),  # a 5 and its bar
        (False, (True, True, False), "3 digits"),
        (False, (True, False), "not sure"),
        (False, (False, False, False), "not sure"),
    ],
)
def test_several_are_what_mostly_are_digits(
    reads: Predictor, whole: bool, parts: tuple[bool, ...], note: str
) -> None:
    pieces = tuple(glyph(surely=part, digit=place) for place, part in enumerate(parts))
    (found,) = reads.predict([Drawing(glyph(surely=whole), pieces)])
    assert found.note == note
    assert found.score == pytest.approx(
        np.mean([0.5 if part else 0.49 for part in parts])
        if note.endswith("digits")
        else 0.5
        if whole
        else 0.49
    )
    if note.endswith("digits"):
        assert found.digit is None
        assert [part.digit for part in found.parts] == list(range(len(parts)))
        assert found.answer == tuple(range(len(parts)))
    else:
        assert (found.digit, found.parts, found.answer) == (4, (), (4,))


def test_many_go_through_the_network_in_bounded_batches(reads: Predictor) -> None:
    with (
        mock.patch.object(predictor, "BATCH", 4),
        mock.patch.object(reads, "network", wraps=network) as seen,
    ):
        found = reads.predict([Drawing(glyph(surely=True, digit=n % 10)) for n in range(10)])
    assert [len(call.args[0]) for call in seen.call_args_list] == [4, 4, 2]
    assert [prediction.digit for prediction in found] == list(range(10))
    assert reads.predict([]) == []
