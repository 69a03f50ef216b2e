"""What is said of pictures, as counts and shares, and those as a table."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

Results = dict[str, Any]


class Row(NamedTuple):
    """One picture: the right answer (None for no digit), and what is said."""

    kind: str
    i: int
    right: int | None
    detail: str
    checksum: int  # of the file: whether two runs read the same
    digit: int | None
    probability: float | None
    note: str

    @property
    def is_right(self) -> bool:
        """A right one that is not sure is right; several digits and blank are wrong."""
        return self.digit is not None and self.digit == self.right

    @property
    def is_sure(self) -> bool:
        return self.digit is not None and not self.note


def digits(rows: list[Row]) -> Results:
    notes = Counter(
        row.note if row.note in ("", "blank", "not sure") else "several" for row in rows
    )
    return {
        "n": len(rows),
        "right": _share([row.is_right for row in rows]),
        "wrong but sure": _share([row.is_sure and not row.is_right for row in rows]),
        "turned down": _share([not row.is_sure for row in rows]),
        **{note: notes[note] for note in ("not sure", "several", "blank")},
    }


def others(rows: list[Row]) -> Results:
    taken = Counter(row.detail.partition(" ")[0] for row in rows if row.is_sure)
    share = _share([row.is_sure for row in rows])
    return {"n": len(rows), "taken for a digit": share, "most": dict(taken.most_common(5))}


def tables(files: list[Row], drawn: list[list[Row]], nothing: list[list[Row]]) -> Results:
    rows = {some[0].kind: digits(some) for some in drawn}
    names = ("right", "wrong but sure", "turned down")
    return {
        "28x28 files": digits(files),
        "digits": rows,
        "mean": {name: _mean([row[name] for row in rows.values()]) for name in names},
        "no digits": {some[0].kind: others(some) for some in nothing},
    }


def text(results: Results) -> str:
    return "\n".join(_lines(results))


def _lines(results: Results) -> Iterator[str]:
    """In percent, but for the counts."""
    network = results["checkpoint"]
    yield f"the network, of {network['n']}: {_percent(network['accuracy'])}"
    yield f"{'digits':22}{'n':>6}{'right':>8}{'wrong, sure':>13}{'turned down':>13}  of these"
    rows = {"28x28 files": results["28x28 files"], **results["digits"], "mean": results["mean"]}
    for kind, row in rows.items():
        notes = ", ".join(f"{row[n]} {n}" for n in ("several", "blank") if row.get(n))
        right, wrong, down = (_percent(row[n]) for n in ("right", "wrong but sure", "turned down"))
        yield f"{kind:22}{row.get('n', ''):>6}{right:>8}{wrong:>13}{down:>13}  {notes}".rstrip()
    yield f"\n{'no digits':22}{'n':>6}{'taken for a digit':>20}  most often"
    for kind, row in results["no digits"].items():
        most = ", ".join(f"{name} {count}" for name, count in row["most"].items() if name)
        yield f"{kind:22}{row['n']:>6}{_percent(row['taken for a digit']):>20}  {most}".rstrip()


def _share(flags: list[bool]) -> float:
    return _mean([float(flag) for flag in flags])


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 5)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
