"""What a study is: a sweep, what is measured of its jobs, a figure; and how its table is made."""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from digits.data import idx, mnist
from digits.errors import InputError
from digits.files import CONFIGS, DATA, write_atomically
from digits.runs.words import key, value_text
from digits.sweeps.leaderboard import Result

RECIPES = ("reference", "fast", "best", "robust")  # of configs/experiment
LEAN = ("callbacks.samples=null", "callbacks.watch=null", "callbacks.report=null", "logger=csv")
WITHOUT_CHECKPOINTS = (*LEAN, "callbacks.last=null", "callbacks.best=null")
RESULTS = re.compile("(?<=<!-- results -->\n).*(?=<!-- end of results -->)", re.DOTALL)
SEED = "seed"

Row = dict[str, Any]  # numbers and texts by column; what begins with _ is for the figure alone
Jobs = Mapping[str, Sequence[Result]]  # finished ones, by the name of their sweep


@dataclass(frozen=True)
class Study:
    """`words` start each of the `sweeps`, which have a name and more words. A row of the table is
    for each combination of the columns `by`, a mean over seeds of all that `measure` returns beside
    them; Markdown spreads the column `across` over columns.
    """

    words: Sequence[str]
    by: Sequence[str]
    measure: Callable[[Jobs, Path], list[Row]]  # the path is of the study's outputs
    draw: Callable[[list[Row]], Figure]
    sweeps: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"": ()})
    across: str | None = None


def check_recipes(words: Sequence[str]) -> None:
    """Raises InputError for an experiment= that has no config."""
    there = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
    for word in {key(word): word for word in words}.values():
        for name in value_text(word).split(",") if key(word) == "experiment" else ():
            if name not in there:
                known = ", ".join(there)
                raise InputError(f"experiment={name}: no such recipe; expected some of {known}")


def images(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return MNIST's images (N, 28, 28) and labels (N,) of `train` or `test`."""
    names = {"train": mnist.TRAIN, "test": mnist.TEST}[part]
    images_NHW, labels_N = idx.read(DATA / "MNIST" / "raw", names)
    return images_NHW.numpy(), labels_N.numpy()


def number(text: str | float) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def scores(
    settings: Mapping[str, str], metrics: Mapping[str, str], sweep: str = ""
) -> Callable[[Jobs, Path], list[Row]]:
    """Return a `measure` of the jobs' own settings and metrics, by the names of their columns. The
    sweep's name gets the column `sweep`.
    """

    def measure(jobs: Jobs, _: Path) -> list[Row]:
        rows: list[Row] = []
        for label, each in jobs.items():
            for job in each:
                row: Row = {sweep: number(label)} if sweep else {}
                row |= {column: number(job.words[name]) for column, name in settings.items()}
                row |= {column: job.measured[name] for column, name in metrics.items()}
                rows.append(row | {SEED: number(job.words[SEED])})
        return rows

    return measure


def means(rows: Sequence[Row], by: Sequence[str]) -> list[Row]:
    """Return a row for each combination of the columns `by`, in the order of the rows: of each
    score mean and standard deviation over the seeds (nan for one), and n.
    """
    alike: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(row[name] for name in by), []).append(row)
    found = []
    for values, group in alike.items():
        mean: Row = dict(zip(by, values, strict=True))
        for name in (name for name in group[0] if name not in (*by, SEED) and name[0] != "_"):
            scored = [row[name] for row in group]
            spread = stdev(scored) if scored[1:] else math.nan
            mean |= {name: fmean(scored), f"{name} sd": spread}
        found.append(mean | {"n": len(group)})
    return found


def write(study: Study, rows: Sequence[Row], folder: Path, note: str) -> None:
    """Write table.csv, figure.png and the results in README.md."""
    table, file, picture = means(rows, study.by), io.StringIO(), io.BytesIO()
    writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: shown(value) for k, value in row.items()} for row in table)
    write_atomically(folder / "table.csv", file.getvalue().encode())
    study.draw(list(rows)).savefig(picture, format="png", dpi=110)
    write_atomically(folder / "figure.png", picture.getvalue())
    told = f"{markdown(table, study.by, study.across)}\n\n{note}\n\n![figure](figure.png)\n"
    readme = folder / "README.md"
    write_atomically(readme, RESULTS.sub(lambda _: told, readme.read_text()).encode())


def markdown(table: Sequence[Row], by: Sequence[str], across: str | None) -> str:
    """Return means with their spreads; with `across`, a column for each of its values."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row in table:
        names = [name for name in row if name not in (*by, "n") and not name.endswith(" sd")]
        place = tuple(shown(row[name]) for name in by if name != across)
        for name in names:
            column = shown(row[across]) if across else name
            spread = f" ± {row[f'{name} sd']:.4f}" if row["n"] > 1 else ""
            cells.setdefault(place, {})[column] = f"{row[name]:.4f}{spread}"
        if not across:
            cells[place]["n"] = shown(row["n"])
    columns = list(dict.fromkeys(column for each in cells.values() for column in each))
    head = [*(name for name in by if name != across), *columns]
    lines = [head, ["---"] * len(head)]
    lines += [[*place, *(each.get(c, "") for c in columns)] for place, each in cells.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: str | float) -> str:
    return value if isinstance(value, str) else "" if math.isnan(value) else f"{value:.6g}"
