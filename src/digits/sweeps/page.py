"""A leaderboard as a page: one file that asks nothing of any network."""

import json
import math
import os
from contextlib import suppress
from importlib import resources
from typing import Any
from urllib.parse import quote

from digits.errors import InputError
from digits.files import is_plain, relative, write_atomically
from digits.runs import run
from digits.runs.folder import RunFolder
from digits.runs.run import BEST
from digits.runs.status import FINISHED
from digits.sweeps.leaderboard import REPLICATES, Group, Leaderboard, Result
from digits.text import flat

MOST_POINTS = 60  # of a curve: more is not seen
MOST_JOBS, MOST_CURVES = 2000, 500  # the best ones: a browser gets slow above
FILES = ("report.html", "train.log", "output.log", "metrics.json", "metrics.csv",
         "figures/samples.png")  # fmt: skip


def write(board: Leaderboard) -> None:
    """Raises OSError if it can't be written."""
    parts = resources.files("digits.sweeps") / "web"
    script = "".join((parts / name).read_text() for name in ("table.js", "charts.js"))
    page = (parts / "sweep.html").read_text()
    page = page.replace("/*STYLE*/", (parts / "sweep.css").read_text())
    page = page.replace("/*SCRIPT*/", script)
    text = json.dumps(_data(board), allow_nan=False, separators=(",", ":"))
    page = page.replace("/*DATA*/", text.replace("<", "\\u003c"))  # last: it is somebody's text
    write_atomically(board.sweep.page, page.encode())


def _data(board: Leaderboard) -> dict[str, Any]:
    metric = board.objectives[0] if board.objectives else None
    curve = (metric or "train/loss").removesuffix(BEST)
    ranks = {job.name: rank for rank, group in enumerate(board.groups, 1) for job in group.jobs}
    best = list(ranks)[:MOST_JOBS]
    names, with_curves = set(best), set(best[:MOST_CURVES])
    jobs = [job for job in board.jobs if job.name in names]
    groups = board.groups[: ranks[best[-1]]]
    return {
        "title": flat(f"sweep {relative(board.sweep.path)}"),
        "best": board.verdict,
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
            _row(job, ranks[job.name], metric, board.columns)
            | _job(job)
            | {"curve": _curve(job.run, curve) if job.name in with_curves else []}
            for job in jobs
        ],
        "groups": [
            _row(group, rank, metric, board.columns)
            | _group(group)
            | {"jobs": [job.name for job in group.jobs if job.name in names]}
            for rank, group in enumerate(groups, 1)
        ],
    }


def _row(row: Group | Result, rank: int, metric: str | None, columns: list[str]) -> dict[str, Any]:
    values = {name: _rounded(row.score(name)) for name in columns}
    score = values[metric] if metric else None
    return {
        "rank": None if score is None else rank,
        "score": score,
        "values": values,
        "status": row.status,
    }


def _job(job: Result) -> dict[str, Any]:
    return {
        "name": job.name,
        "settings": job.words,
        "seconds": _rounded(job.number("fit_seconds")),
        "line": job.line,
        "ended": job.ended if job.status == FINISHED else None,
        "folder": quote(os.fsencode(job.name)),
        "files": [name for name in FILES if is_plain(job.run.path, name)],
    }


def _group(group: Group) -> dict[str, Any]:
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
    """(epoch, from 0; its score)."""
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
