"""Predictions as counts and shares, and those as a table. A row is what the results file has."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # who counts has put src on the path already
    from digits.prediction.predictor import Prediction

ANSWERS = ("sure", "not sure", "several", "blank")
Row = dict[str, Any]


def answer(prediction: "Prediction") -> str:
    """One of ANSWERS."""
    if prediction.note == "blank":
        return "blank"
    if prediction.digit is None:
        return "several"
    return "not sure" if prediction.note else "sure"


def count(read: list["Prediction"], digits: Iterable[int], samples: int = 1) -> Row:
    """No digit is a wrong one; a right one that is not sure is right."""
    right = np.array([p.digit == digit for p, digit in zip(read, digits, strict=True)])
    sure = np.array([answer(p) == "sure" for p in read])
    row: Row = {"n": len(read), "accuracy": float(right.mean())}
    if samples > 1:
        row["accuracies"] = right.reshape(samples, -1).mean(1).tolist()
    row["turned down"] = float((~sure).mean())
    row["wrong but sure"] = float((sure & ~right).mean())
    answers = Counter(map(answer, read))
    return row | {name: answers[name] for name in ANSWERS}


def compared(row: Row, originals: NDArray[np.floating]) -> Row:
    """With the difference to the originals in points, that is, in hundredths."""
    points = 100 * (np.array(row["accuracies"]) - originals)
    return row | {"points": float(points.mean()), "points each": points.tolist()}


def shares(accepted: list[bool]) -> Row:
    return {"n": len(accepted), "accepted": sum(accepted) / len(accepted)}


def by(names: Iterable[str], accepted: list[bool]) -> Row:
    found: dict[str, list[bool]] = defaultdict(list)
    for name, taken in zip(names, accepted, strict=True):
        found[name].append(taken)
    return {name: shares(found[name]) for name in sorted(found)}


def text(results: Row) -> str:
    return "\n\n".join("\n".join(part(results)) for part in (_reading, _turning_down, _worst))


def _reading(results: Row) -> Iterator[str]:
    """Accuracy in percent, differences in points, the rest as counts."""
    yield _line("read", "n", "each sample", "mean", "points", "allowed", *ANSWERS[1:])
    rows = {"all test digits": results["checkpoint"], "all, as files": results["all as files"]}
    rows |= results["canvases"]
    rows |= {f"8x8, {name}": row for name, row in results["scikit-learn"].items()}
    for name, row in (rows | {"typed": results["typed"]}).items():
        each = " ".join(f"{100 * accuracy:.1f}" for accuracy in row.get("accuracies", ()))
        points = f"{row['points']:+.2f}" if "points" in row else ""
        counts = (row.get(name, "") for name in ANSWERS[1:])
        yield _line(
            name, row["n"], each, _percent(row["accuracy"]), points, row.get("allowed", ""), *counts
        )


def _turning_down(results: Row) -> Iterator[str]:
    """Percent that are given a digit, and sure."""
    yield _line("not digits", "n", "accepted")
    for name, row in results["not digits"].items():
        yield _line(name, row["n"], _percent(row["accepted"]))
    yield ""
    yield _line("digits", "n", "turned down", "wrong but sure")
    digits = {"all, as files": results["all as files"], "typed": results["typed"]}
    for name, row in (digits | results["canvases"]).items():
        if "turned down" in row:
            shares_of = (_percent(row[what]) for what in ("turned down", "wrong but sure"))
            yield _line(name, row["n"], *shares_of)


def _worst(results: Row) -> Iterator[str]:
    groups = results["not digits"]
    lists = {name: row["kinds"] for name, row in groups.items() if "kinds" in row}
    yield "accepted most, in percent"
    for name, kinds in (lists | {"fonts": groups["letters"]["fonts"]}).items():
        percent = {kind: 100 * row["accepted"] for kind, row in kinds.items()}
        worst = sorted(percent, key=percent.__getitem__, reverse=True)[:5]
        yield f"{name:17}{', '.join(f'{kind} {percent[kind]:.0f}' for kind in worst)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _line(name: str, *values: object) -> str:
    widths = (6, 17, 16, 8, 8, 9, 8, 6)
    cells = (f"{value!s:>{width}}" for value, width in zip(values, widths, strict=False))
    return f"{name:17}{''.join(cells)}".rstrip()
