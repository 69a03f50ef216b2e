from typing import Any

import numpy as np
from PIL import Image

from digits.inspection import figures
from digits.inspection.statistics import reliability
from support import findings

WORDS = "$\\frac{1$ <b>\n猫"
LONG = "a name of many words " * 3
NAMES = ["curves", "calibration", "samples", "confusion", "mistakes", "weights"]
EPOCHS = {
    0: {"train/loss": 0.5, "train/acc": 0.9, "val/acc": 0.91, "val/acc_best": 0.91},
    1: {"train/loss": 0.3, "train/acc": 0.95, "val/acc": 0.93, "val/acc_best": 0.93},
    2: {"train/loss": 0.2, "train/acc": 0.97, "val/acc": 0.92, "val/acc_best": 0.93},
}


def grey(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("L"))


def test_ink_is_black_on_white_paper_under_its_label() -> None:
    """Three dots a pixel: cells of 108 by 114, whose pictures begin at (12, 28)."""
    images = np.zeros((9, 28, 28), np.uint8)
    images[8, 10:18, 10:18] = 255
    labelled = grey(figures.samples(images, ["5", *" " * 8]))
    plain = grey(figures.samples(images, [" "] * 9))
    assert plain.shape == (2 * 114, 8 * 108)
    rows, columns = (plain == 0).nonzero()
    assert {int(row) for row in rows} == set(range(114 + 28 + 30, 114 + 28 + 54))
    assert {int(column) for column in columns} == set(range(12 + 30, 12 + 54))
    assert (plain[plain > 0] == 255).all()
    assert (labelled[:28, :108] < 128).sum() > 20, "a label above the first"
    assert (labelled[114:142, 108:] < 128).sum() == 0, "none where there is no picture"


def test_a_long_name_stays_over_its_own_picture() -> None:
    blank = np.zeros((2, 28, 28), np.uint8)
    shown = grey(figures.small(blank, [[LONG] * 2, [""]], "", 2))
    assert (shown[:46, 1:131] < 200).sum() > 50
    assert (shown[:, 132:] == 255).all()


def test_titles_say_what_was_found() -> None:
    """Of eight images five are right at 0.9; wrong at 0.99, 0.8 and 0.6: 2.89 / 8."""
    whole = findings.evidence()
    assert figures.most_confused(whole) == "cat and dog are confused most: 2 of 8"
    assert figures.how_many_wrong(whole) == "3 of 8 are wrong; 3 of them with most confidence"
    assert figures.which_units(whole) == "First layer's weights: the 1 of 5 units with the largest"
    assert figures.over_or_under(whole) == "Overconfident by 23.6 points: ECE 0.3613"
    assert figures.captions(whole) == [
        ("cat", "not dog (99.0%)"), ("owl", "not cat (80.0%)"), ("cat", "not dog (60.0%)"),
    ]  # fmt: skip


def test_a_classifier_without_mistakes_has_its_titles() -> None:
    labels = np.array([0, 1], np.int32)
    whole = findings.evidence(labels_N=labels, predicted_N=labels, confidence_N=np.ones(2),
                              shown_M=np.zeros(0, int))  # fmt: skip
    assert figures.most_confused(whole) == "None of 2 test images is confused"
    assert [name for name, _ in figures.figures(whole, {}, {})] == [
        "calibration", "samples", "confusion", "weights",
    ]  # fmt: skip
    assert list(figures.figures(None, {}, {"test/acc": 0.9})) == []


def test_the_more_mistakes_the_bluer_the_cell_and_weights_are_blue_below_zero() -> None:
    """Three classes, cells of 42 from (70, 40) on; the diagonal is white however much is there."""
    counts = np.array([[900, 10, 5], [0, 900, 0], [0, 0, 900]])
    picture = figures.confusion(counts, ["a", "b", "c"], "title")
    corners = [[picture.getpixel((70 + 42 * c + 3, 40 + 42 * r + 3)) for c in range(3)]
               for r in range(3)]  # fmt: skip
    white, deep, half = (255, 255, 255), (8, 48, 107), (132, 152, 181)
    assert corners == [[white, deep, half], [white] * 3, [white] * 3]
    picture = figures.weights(np.array([[[-2.0, 2.0], [0.0, 1.0]]]), "title")
    at = [picture.getpixel((2 + 42 * x + 21, 40 + 2 + 42 * y + 21)) for y in (0, 1) for x in (0, 1)]
    assert at == [(33, 102, 172), (178, 24, 43), white, (216, 140, 149)]


def test_curves_are_by_epoch_and_say_which_was_best() -> None:
    assert figures.by_score(figures.STAGES, EPOCHS | {3: {"train/loss": float("inf")}}) == {
        "loss": {"training": {1: 0.5, 2: 0.3, 3: 0.2}},
        "acc": {"training": {1: 0.9, 2: 0.95, 3: 0.97}, "validation": {1: 0.91, 2: 0.93, 3: 0.92}},
    }
    assert figures.best(EPOCHS, {"test/acc": 0.925}) == (
        "Best validation accuracy 0.9300, in epoch 2 of 3, 0.9250 on test images"
    )
    own = {0: {"train/f1": 0.5}}
    assert figures.by_score(figures.STAGES, own) == {"f1": {"training": {1: 0.5}}}
    assert figures.best(own, {}) == "train/f1 0.5000 after 1 epochs"


def test_a_curve_goes_through_its_points() -> None:
    """The panel's axes: x from 70 to 540 for epochs 1 to 3, y from 358 up to 98 for 0 to 1."""
    picture = figures.curves({"acc": {"training": {1: 0.0, 2: 1.0, 3: 0.5}}}, "")
    points = [(70, 358), (305, 98), (540, 228)]
    assert [picture.getpixel(at) for at in points] == [(0, 114, 178)] * 3
    assert picture.getpixel((187, 228)) != (255, 255, 255), "half way from the first to the second"
    assert picture.getpixel((187, 308)) == (255, 255, 255)


def test_a_calibrated_classifiers_bars_end_at_the_line() -> None:
    """Two bins, from 70 to 265 and on to 460; y from 360 up to 60 for 0 to 1."""
    bins = reliability(np.array([0.5, 0.5, 1.0]), np.array([True, False, True]), bins=2)
    picture = figures.calibration(bins, "")
    blue, white = (0, 114, 178), (255, 255, 255)
    assert [picture.getpixel((100, y)) for y in (205, 215, 350)] == [white, blue, blue]
    assert [picture.getpixel((300, y)) for y in (62, 350)] == [blue, blue]


def test_any_names_colours_and_numbers_can_be_drawn() -> None:
    whole = findings.evidence(
        names_K=np.array([WORDS, "$", "x" * 500]), samples_SHW=np.zeros((2, 4, 4, 3), np.uint8),
        pictures_MHW=np.zeros((3, 90, 70, 3), np.uint8), confidence_N=np.full(8, 0.1),
    )  # fmt: skip
    drawn = dict(figures.figures(whole, EPOCHS, {}))
    assert list(drawn) == NAMES
    assert all(figures.png(picture).startswith(b"\x89PNG") for picture in drawn.values())
    assert figures.curves({WORDS: {WORDS: {1: 1}, "b": {1: 2}}}, WORDS)
    assert figures.confusion(np.eye(1000, dtype=int), ["x"] * 1000, "many").width < 4000
