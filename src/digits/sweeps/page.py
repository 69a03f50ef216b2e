"""A leaderboard as a page: one file that asks nothing of any network."""

import json
import math
import os
from importlib import resources
from typing import Any
from urllib.parse import quote

from digits.errors import InputError
from digits.files import is_plain, relative, write_atomically
from digits.runs import run
from digits.runs.folder import RunFolder
from digits.runs.run import BEST
from digits.runs.status import FINISHED
from digits.sweeps import table
from digits.sweeps.leaderboard import Group, Leaderboard, Result
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
    columns = table.columns(board)
    jobs = sorted(board.jobs, key=lambda job: board.ranks[job.name])[:MOST_JOBS]
    with_curves = {job.name for job in jobs[:MOST_CURVES]}
    names = {job.name for job in jobs}
    groups = [group for group in board.groups if names.intersection(j.name for j in group.jobs)]
    return {
        "title": flat(f"sweep {relative(board.sweep.path)}"),
        "best": table.verdict(board),
        "more": len(board.jobs) - len(jobs),
        "counts": board.counts,
        "metric": metric,
        "less": metric in board.lesser,
        "curve": curve,
        "differing": board.differing,
        "replicates": board.replicates,
        "over": table.over(board),
        "columns": columns,
        "jobs": [
            _job(job, board.ranks[job.name], metric, columns)
            | {"curve": _curve(job.run, curve) if job.name in with_curves else []}
            for job in board.jobs if job.name in names
        ],
        "groups": [_group(group, rank, names, columns) for rank, group in enumerate(groups, 1)],
    }  # fmt: skip


def _group(group: Group, rank: int, names: set[str], columns: list[str]) -> dict[str, Any]:
    gap = group.difference
    return {
        "rank": rank if group.scores else None,
        "jobs": [job.name for job in group.jobs if job.name in names],
        "settings": group.settings,
        "score": _rounded(group.scores[0]) if group.scores else None,
        "spread": _rounded(group.spreads[0]) if group.spreads else None,
        "n": group.n,
        "difference": _rounded(gap.mean) if gap else None,
        "interval": f"{gap} (n={gap.pairs})" if gap and gap.interval else None,
        "values": {name: _rounded(group.score(name)) for name in columns},
        "seconds": _rounded(group.seconds),
        "status": table.status(group.jobs),
    }


def _job(job: Result, rank: int, metric: str | None, columns: list[str]) -> dict[str, Any]:
    score = job.score(metric) if metric else None
    return {
        "rank": rank if score is not None else None,
        "name": job.name,
        "settings": job.words,
        "score": _rounded(score),
        "values": {name: _rounded(job.score(name)) for name in columns},
        "seconds": _rounded(job.seconds),
        "status": job.status,
        "line": job.line,
        "ended": job.ended if job.status == FINISHED else None,
        "folder": quote(os.fsencode(job.name)),
        "files": [name for name in FILES if is_plain(job.run.path, name)],
    }


def _curve(folder: RunFolder, metric: str) -> list[tuple[int, float | None]]:
    """(epoch, from 0; its score)."""
    try:
        epochs = run.epochs(folder)
    except InputError:
        return []
    points = [
        (epoch, _rounded(scores[metric]))
        for epoch, scores in sorted(epochs.items())
        if math.isfinite(scores.get(metric, math.nan))
    ]
    step = math.ceil(len(points) / MOST_POINTS) or 1
    return points[::step] + points[-1:] * ((len(points) - 1) % step > 0)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")
