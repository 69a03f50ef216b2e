import numpy as np
import pytest

from digits.inspection import statistics

TRUE = np.array([0, 0, 0, 1, 1, 2])
SAID = np.array([0, 1, 1, 1, 0, 2])


def test_rows_of_a_confusion_matrix_are_true_classes() -> None:
    counts = statistics.confusion(TRUE, SAID, 3)
    assert counts.tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]


def test_precision_recall_and_f1_are_of_each_class() -> None:
    """1 of 2 that are said to be class 0, 1 of 3 that are; of the last class there is neither."""
    scores = statistics.by_class(statistics.confusion(TRUE, SAID, 4))
    assert scores[:3].tolist() == [
        [0.5, pytest.approx(1 / 3), 0.4], [pytest.approx(1 / 3), 0.5, 0.4], [1.0, 1.0, 1.0],
    ]  # fmt: skip
    assert np.isnan(scores[3]).all()


def test_wilsons_interval_is_the_published_one() -> None:
    """R's prop.test(8, 10, correct=FALSE) and (0, 10)."""
    assert statistics.wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-7)
    assert statistics.wilson(0, 10) == pytest.approx((0, 0.2775328), abs=1e-7)
    assert statistics.wilson(0, 0) == (0.0, 1.0)


def test_an_interval_over_seeds_is_students() -> None:
    """Quantile 3.182446 for three degrees of freedom, spread 1.2909944."""
    half = 3.182446 * 1.2909944 / 2
    interval = statistics.students([1.0, 2.0, 3.0, 4.0], 0, 9)
    assert interval == pytest.approx((2.5 - half, 2.5 + half), rel=1e-6)
    assert statistics.students([0.6, 0.99], 0, 1) == (0, 1), "of accuracies"


def test_a_difference_is_of_pairs() -> None:
    """Of a and b: 0.1 and 0.3; their spread 0.1414214, the quantile for one degree 12.706205."""
    mine, theirs = {"a": 0.6, "b": 0.9, "c": 0.1}, {"a": 0.5, "b": 0.6, "d": 0.9}
    told = statistics.difference(mine, theirs, 10)
    assert told is not None
    assert (told.pairs, told.mean) == (2, pytest.approx(0.2))
    assert told.interval == pytest.approx((0.2 - 1.2706205, 0.2 + 1.2706205))
    told = statistics.difference(mine, theirs, 1)
    assert told is not None
    assert told.interval == (-1, 1)
    assert told.p == pytest.approx(0.2951672), "t = 0.2 / 0.1 with one degree: 1 - 2 atan(2) / pi"
    assert statistics.difference(mine, {"b": 0.6, "a": 0.5}, 1) == told
    one = statistics.difference({"a": 0.6}, theirs, 1)
    assert one is not None
    assert one.p is None
    assert (str(one), one and one.pairs) == ("-", 1)
    assert statistics.difference({"c": 1.0}, theirs, 1) is None


def test_mcnemar_counts_where_one_alone_is_right() -> None:
    """2 of 12: twice (1 + 12 + 66) / 4096."""
    both, neither = [True] * 5, [False] * 3
    first = np.array([True] * 10 + [False] * 2 + both + neither)
    second = np.array([False] * 10 + [True] * 2 + both + neither)
    assert statistics.mcnemar(first, second) == (10, 2, pytest.approx(158 / 4096))
    assert statistics.mcnemar(second, first) == (2, 10, pytest.approx(158 / 4096))
    assert statistics.mcnemar(first, first) == (0, 0, 1.0)


def test_calibration_error_is_the_gap_weighted_by_images() -> None:
    """Three in (0.8, 1] at 0.9, two of them right; one in (0.4, 0.6] at 0.5, right."""
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    bins = statistics.reliability(confidence, np.array([True, True, False, True]), bins=5)
    assert bins.count_G.tolist() == [0, 0, 1, 0, 3]
    assert bins.accuracy_G == pytest.approx([0, 0, 1, 0, 2 / 3])
    assert bins.error == pytest.approx((3 * (0.9 - 2 / 3) + 0.5) / 4)
    edges = statistics.reliability(np.array([0.2, 1.0, 0.0]), np.array([True] * 3), bins=5)
    assert edges.count_G.tolist() == [2, 0, 0, 0, 1], "a bin has its upper one"
