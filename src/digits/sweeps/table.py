"""A leaderboard as text and, in the sweep's folder, as CSV and as a page."""

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import resources
from statistics import fmean, stdev
from typing import Any
from urllib.parse import quote

from digits.errors import InputError
from digits.files import is_plain, relative, write_atomically
from digits.runs import run
from digits.runs.folder import RunFolder
from digits.runs.monitors import BEST, common
from digits.runs.status import FINISHED
from digits.sweeps import leaderboard
from digits.sweeps.leaderboard import (
    LONGER,
    LOST,
    REPLICATES,
    SHORTER,
    Group,
    Leaderboard,
    Result,
)
from digits.sweeps.sweep_folder import SweepFolder
from digits.text import aligned, flat

MOST_ROWS, MOST_LOST = 20, 10  # on a terminal; the files have all rows
MOST_CHARACTERS = 40  # in a cell
SECONDS = "fit_seconds"
GAPS = ("difference", "difference_low", "difference_high", "pairs")
MOST_POINTS = 60  # in a page's curve: nobody would see more
MOST_JOBS, MOST_CURVES = 2000, 500  # the best ones on a page: more make a browser slow
FILES = ("report.html", "train.log", "output.log", "metrics.json", "metrics.csv",
         "figures/samples.png")  # fmt: skip


def write(
    sweep: SweepFolder,
    metrics: Sequence[str] | None = None,
    replicates: Sequence[str] | None = None,
) -> str:
    """Write the leaderboard's files, and return its text. Raises InputError if there is no sweep,
    or no such metric or replicate.
    """
    board = leaderboard.read(sweep, metrics, replicates)
    _write_csv(board)
    _write_page(board)
    return text(board)


def text(board: Leaderboard) -> str:
    """Return what a terminal shows: the groups, best first, with as many columns as fit (without a
    terminal, all); the jobs that do not count; the winner.
    """
    kinds = ", ".join(f"{count} {kind}" for kind, count in board.counts.items())
    counts = flat(f"sweep {relative(board.sweep.path)}: {len(board.jobs)} jobs, {kinds}")
    lines = [counts, "", *_table(board, shutil.get_terminal_size((1000, 0)).columns)]
    if len(board.groups) > MOST_ROWS:
        more = len(board.groups) - MOST_ROWS
        lines.append(flat(f"and {more} more: {relative(board.sweep.leaderboard_csv)}"))
    lines += _of_the_lost(board)
    if verdict := board.verdict:
        lines += ["", verdict, *_lead(board)]
    return "\n".join([*lines, flat(f"page  {relative(board.sweep.page)}")])


def _write_csv(board: Leaderboard) -> None:
    """Write a row for each job, in the order of the leaderboard, with all that it measured."""
    gaps = GAPS if any(group.difference for group in board.groups) else ()
    settings = (name for job in board.jobs for name in job.words)
    names = ("rank", "job", "status", *settings, *map(flat, board.measured), *gaps, "error")
    file = io.StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(names)), lineterminator="\n")
    writer.writeheader()
    for rank, group in enumerate(board.groups, 1):
        gap = group.difference
        paired = (gap.mean, *(gap.interval or ("", "")), gap.pairs) if gap else ()
        for job in group.jobs:
            row = {flat(name): value if isinstance(value, int | float) else flat(str(value))
                   for name, value in job.measured.items()}  # fmt: skip
            row |= job.words | dict(zip(GAPS, paired, strict=False))
            place = {"rank": rank, "job": flat(job.name), "status": job.status, "error": job.line}
            writer.writerow(row | place)
    write_atomically(board.sweep.leaderboard_csv, file.getvalue().encode())


def _table(board: Leaderboard, width: int) -> list[str]:
    are_replicates = board.replicates and not board.differing
    names = list(dict.fromkeys((*board.columns, SECONDS)))
    while True:
        rows = [*(_replicates if are_replicates else _groups)(board, names)]
        lines = aligned([[_cut(cell) for cell in row] for row in rows])
        if len(names) < 2 or max(map(len, lines)) <= width:
            return lines
        names.pop()


def _replicates(board: Leaderboard, names: list[str]) -> Iterator[list[str]]:
    """Yield a row for each replicate if nothing else differs, then mean and standard deviation."""
    yield [*_short(board.replicates), *map(_title, names), "job", "status"]
    for job in board.jobs[:MOST_ROWS]:
        replicate = [job.words.get(name, "") for name in board.replicates]
        numbers = [_number(job.score(name), name) for name in names]
        yield [*replicate, *numbers, job.name, job.status]
    scores = [[score for job in board.jobs for score in job.scores([name])] for name in names]
    if all(len(each) > 1 for each in scores):
        for title, of in (("mean", fmean), ("+-", stdev)):
            found = [_number(of(each), name) for each, name in zip(scores, names, strict=True)]
            yield [title, *[""] * (len(board.replicates) - 1), *found, "", ""]


def _groups(board: Leaderboard, names: list[str]) -> Iterator[list[str]]:
    means = ["+-", "seeds" if board.replicates == REPLICATES else "n", "against best, 95 %"]
    means = means[: 3 if board.winner else 2] if board.replicates and board.objectives else []
    job = [] if board.replicates else ["job"]
    first, *others = map(_title, names)
    yield ["", *_short(board.differing), first, *means, *others, *job, "status"]
    for rank, group in enumerate(board.groups[:MOST_ROWS], 1):
        place = str(rank) if group.scores else "-"
        if len(board.objectives) > 1:
            place = "*" if board.is_on_front(group) else ""
        first, *others = (_number(group.score(name), name) for name in names)
        spread = [_number(group.spread), str(group.n), _against(group)][: len(means)]
        job = [",".join(each.name for each in group.jobs)][: len(job)]
        yield [place, *group.settings.values(), first, *spread, *others, *job, group.status]


def _lead(board: Leaderboard) -> Iterator[str]:
    """Yield a line on how far the best is from the second, if they have two or more pairs."""
    second = board.groups[1] if board.winner and len(board.groups) > 1 else None
    gap = second.difference if second else None
    if second is None or gap is None or gap.interval is None:
        return
    low, high = (0 - bound for bound in reversed(gap.interval))
    count, settings = len(board.groups), " ".join(f"{k}={v}" for k, v in second.settings.items())
    noise = "no more than noise" if low <= 0 <= high else "more than noise"
    flattered = f"; chosen as the best of {count}, it is flattered" if count > 2 else ""
    yield (
        f"best against second of {count} ({settings}): {_title(board.objectives[0])} "
        f"{0 - gap.mean:+.4f} (95 %: {low:+.4f} to {high:+.4f}, {gap.pairs} pairs with the same "
        f"{', '.join(board.replicates)}), {noise}{flattered}"
    )


def _against(group: Group) -> str:
    gap = group.difference
    pairs = f" (n={gap.pairs})" if gap and gap.interval and gap.pairs != group.n else ""
    return f"{gap}{pairs}" if gap else "-"


def _short(settings: list[str]) -> list[str]:
    """Return the settings' last parts, or whole names where the last parts are equal."""
    last = [name.rpartition(".")[2] for name in settings]
    return [short if last.count(short) == 1 else name
            for short, name in zip(last, settings, strict=True)]  # fmt: skip


def _cut(cell: str) -> str:
    cell = flat(cell)
    return cell if len(cell) <= MOST_CHARACTERS else f"{cell[: MOST_CHARACTERS - 3]}..."


def _title(metric: str) -> str:
    if metric == SECONDS:
        return "seconds"
    return f"{metric.removesuffix(BEST)} best" if metric.endswith(BEST) else metric


def _number(value: float | None, name: str = "") -> str:
    return "-" if value is None else f"{value:.{1 if name == SECONDS else 4}f}"


def _of_the_lost(board: Leaderboard) -> Iterator[str]:
    """Yield a line for each job that does not count: first `longer` and `shorter`, less obvious."""
    jobs = [job for job in board.jobs if job.status in LOST]
    jobs.sort(key=lambda job: job.status not in (LONGER, SHORTER))
    names = [*board.differing, *board.replicates]
    if jobs:
        yield ""
    for job in jobs[:MOST_LOST]:
        words = " ".join(f"{name}={job.words[name]}" for name in names if name in job.words)
        told = f"job {flat(job.name)} {job.status} ({words})"
        yield f"{told}: {job.line}" if job.line else told
    if len(jobs) > MOST_LOST:
        yield f"and {len(jobs) - MOST_LOST} more"


def _write_page(board: Leaderboard) -> None:
    """Write the page: one file that loads nothing from any network."""
    parts = resources.files("digits.sweeps") / "web"
    script = "".join((parts / name).read_text() for name in ("table.js", "charts.js"))
    page = (parts / "sweep.html").read_text()
    page = page.replace("/*STYLE*/", (parts / "sweep.css").read_text())
    page = page.replace("/*SCRIPT*/", script)
    text = json.dumps(_data(board), allow_nan=False, separators=(",", ":"))
    page = page.replace("/*DATA*/", text.replace("<", "\\u003c"))  # last: it may be anyone's text
    write_atomically(board.sweep.page, page.encode())


def _data(board: Leaderboard) -> dict[str, Any]:
    metric = board.objectives[0] if board.objectives else None
    curve = common(metric or "train/loss").removesuffix(BEST)
    ranks = {job.name: rank for rank, group in enumerate(board.groups, 1) for job in group.jobs}
    best = list(ranks)[:MOST_JOBS]
    names, with_curves = set(best), set(best[:MOST_CURVES])
    jobs = [job for job in board.jobs if job.name in names]
    groups = board.groups[: ranks[best[-1]]]
    return {
        "title": flat(f"sweep {relative(board.sweep.path)}"),
        "best": ". ".join([board.verdict, *_lead(board)]),
        "more": len(board.jobs) - len(jobs),
        "counts": board.counts,
        "metric": metric,
        "less": metric in board.lesser,
        "curve": curve,
        "differing": board.differing,
        "replicates": board.replicates,
        "over": "seeds" if board.replicates == REPLICATES else ", ".join(board.replicates),
        "columns": board.columns,
        "jobs": [
            _page_row(job, ranks[job.name], metric, board.columns)
            | _page_job(job)
            | {"curve": _curve(job.run, curve) if job.name in with_curves else []}
            for job in jobs
        ],
        "groups": [
            _page_row(group, rank, metric, board.columns)
            | _page_group(group)
            | {"jobs": [job.name for job in group.jobs if job.name in names]}
            for rank, group in enumerate(groups, 1)
        ],
    }


def _page_row(
    row: Group | Result, rank: int, metric: str | None, columns: list[str]
) -> dict[str, Any]:
    values = {name: _rounded(row.score(name)) for name in columns}
    score = values[metric] if metric else None
    return {
        "rank": None if score is None else rank,
        "score": score,
        "values": values,
        "status": row.status,
    }


def _page_job(job: Result) -> dict[str, Any]:
    return {
        "name": job.name,
        "settings": job.words,
        "seconds": _rounded(job.number("fit_seconds")),
        "line": job.line,
        "ended": job.ended if job.status == FINISHED else None,
        "folder": quote(os.fsencode(job.name)),
        "files": [name for name in FILES if is_plain(job.run.path, name)],
    }


def _page_group(group: Group) -> dict[str, Any]:
    gap = group.difference
    return {
        "settings": group.settings,
        "seconds": _rounded(group.score("fit_seconds")),
        "spread": _rounded(group.spread),
        "n": group.n,
        "difference": _rounded(gap.mean) if gap else None,
        "interval": f"{gap} (n={gap.pairs})" if gap and gap.interval else None,
    }


def _curve(folder: RunFolder, metric: str) -> list[tuple[int, float | None]]:
    """Return pairs of an epoch, from 0, and its score."""
    epochs: dict[int, dict[str, float]] = {}
    with suppress(InputError):
        epochs = run.epochs(folder)
    points = [
        (epoch, _rounded(scores[metric]))
        for epoch, scores in sorted(epochs.items())
        if math.isfinite(scores.get(metric, math.nan))
    ]
    step = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::step] + points[-1:] * ((len(points) - 1) % step > 0)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
