"""A leaderboard as a page: one file that asks nothing of any network."""

import json
import math
from importlib import resources
from typing import Any

from digits.errors import InputError
from digits.files import relative, write_atomically
from digits.runs import run
from digits.runs.folder import RunFolder
from digits.runs.scores import BEST, less_is_better
from digits.runs.status import FINISHED
from digits.sweeps import table
from digits.sweeps.jobs import Job
from digits.sweeps.leaderboard import Group, Leaderboard

MOST_POINTS = 60  # of a curve: more is not seen
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
    columns = table.columns(board)
    jobs = [_job(job, ranks[job.name], metric, curve, columns) for job in board.jobs]
    groups = [_group(group, rank, columns) for rank, group in enumerate(board.groups, 1)]
    return {
        "title": f"sweep {relative(board.sweep.path)}",
        "best": table.verdict(board),
        "counts": board.counts,
        "metric": metric,
        "less": bool(metric and less_is_better(metric)),
        "curve": curve,
        "differing": board.differing,
        "hasSeeds": board.has_seeds and bool(board.differing),
        "columns": columns,
        "jobs": jobs,
        "groups": groups,
    }


def _group(group: Group, rank: int, columns: list[str]) -> dict[str, Any]:
    return {
        "rank": rank if group.scores else None,
        "jobs": [job.name for job in group.jobs],
        "settings": group.settings,
        "score": _rounded(group.scores[0]) if group.scores else None,
        "spread": _rounded(group.spreads[0]) if group.spreads else None,
        "n": group.n,
        "values": {name: _rounded(group.mean(name)) for name in columns},
        "seconds": _rounded(group.seconds),
        "status": table.status(group.jobs),
    }


def _job(job: Job, rank: int, metric: str | None, curve: str, columns: list[str]) -> dict[str, Any]:
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
        "curve": _curve(job.run, curve),
        "files": [name for name in FILES if (job.run.path / name).is_file()],
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
