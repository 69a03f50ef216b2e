"""A leaderboard as text and as CSV."""

import csv
import io
import statistics
from collections.abc import Iterable, Iterator, Sequence

from digits.errors import flat
from digits.files import relative, write_atomically
from digits.runs.scores import BEST
from digits.runs.status import FINISHED
from digits.sweeps import leaderboard
from digits.sweeps.jobs import Job
from digits.sweeps.leaderboard import SEED, Group, Leaderboard
from digits.tables import aligned

MOST_ROWS, MOST_LOST = 20, 10  # on a terminal; the files have all
OTHERS = ("val/acc_best", "val/loss_best", "train/loss", "test/acc", "test/loss")
NO_VALIDATION = (
    "no validation: nothing says which setting is best; data.val_size=10000 holds images out"
)


def text(board: Leaderboard) -> str:
    """What a terminal shows: groups, best first; what became of the rest; the winner."""
    lines = [_counts(board), ""]
    rows = [_row(rank, group, board) for rank, group in enumerate(board.groups, 1)]
    if board.has_seeds and not board.differing:
        lines += aligned([*_seeds(board)])
    else:
        lines += aligned([_head(board), *rows[:MOST_ROWS]])
    if len(rows) > MOST_ROWS:
        lines.append(f"and {len(rows) - MOST_ROWS} more: {relative(board.sweep.leaderboard_csv)}")
    lines += _of_the_lost(board)
    if told := verdict(board):
        lines += ["", told]
    return "\n".join([*lines, f"page  {relative(board.sweep.page)}"])


def shown(group: Group) -> str:
    return " ".join(f"{name}={value}" for name, value in group.settings.items())


def _seeds(board: Leaderboard) -> Iterator[list[str]]:
    """A sweep over seeds alone: each of them, then mean and standard deviation."""
    names = columns(board)
    yield ["seed", *map(_column, names), "seconds", "job", "status"]
    for job in board.jobs[:MOST_ROWS]:
        values = [_number(job.score(name)) for name in names]
        seconds = "-" if job.seconds is None else f"{job.seconds:.1f}"
        yield [job.words.get(SEED, ""), *values, seconds, job.name, job.status]
    scores = [[s for job in board.jobs if (s := job.score(name)) is not None] for name in names]
    if all(len(each) > 1 for each in scores):
        yield ["mean", *(_number(statistics.fmean(each)) for each in scores), "", "", ""]
        yield ["+-", *(_number(statistics.stdev(each)) for each in scores), "", "", ""]


def verdict(board: Leaderboard) -> str:
    """What is best, and what its test said, in one line; empty if there was nothing to choose."""
    if not board.differing:
        return ""
    if not board.objectives:
        return NO_VALIDATION if any("epochs" in job.measured for job in board.jobs) else ""
    if not board.winner:
        return ""
    parts = [f"best  {shown(board.winner)}"]
    for name, scores in leaderboard.tested(board).items():
        spread = f" +- {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        parts.append(f"{name} {statistics.fmean(scores):.4f}{spread} (n={len(scores)})")
    return ", ".join(parts)


def write_csv(board: Leaderboard) -> None:
    """A row for each job, in the order of the leaderboard, with all that was measured."""
    ranks = {job.name: rank for rank, group in enumerate(board.groups, 1) for job in group.jobs}
    settings = list(dict.fromkeys(name for job in board.jobs for name in job.words))
    measured = list(dict.fromkeys(name for job in board.jobs for name in job.measured))
    measured = [name for name in measured if name not in settings]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["rank", "job", "status", *settings, *measured, "error"])
    for job in sorted(board.jobs, key=lambda job: ranks[job.name]):
        values = [job.words.get(name, "") for name in settings]
        values += [flat(str(job.measured.get(name, ""))) for name in measured]
        writer.writerow([ranks[job.name], job.name, job.status, *values, job.line or ""])
    write_atomically(board.sweep.leaderboard_csv, file.getvalue().encode())


def columns(board: Leaderboard) -> list[str]:
    """The metrics worth a column: each objective's best and last value, then the other scores of
    validation.
    """
    measured = {name for job in board.jobs for name in job.measured}
    others = [name for name in OTHERS if name in measured]
    names = []
    for name in dict.fromkeys((*board.objectives, *others)):
        last = name.removesuffix(BEST)
        names += [name, last] if last != name and last in measured else [name]
    return list(dict.fromkeys(names))


def _counts(board: Leaderboard) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in board.counts.items())
    return f"sweep {relative(board.sweep.path)}: {len(board.jobs)} jobs, {kinds}"


def _head(board: Leaderboard) -> list[str]:
    names = [_column(name) for name in columns(board)]
    if board.has_seeds and board.objectives:
        names[1:1] = ["+-", "seeds"]
    kind = [] if board.has_seeds and board.differing else ["job"]
    return ["", *board.differing, *names, "seconds", *kind, "status"]


def _column(metric: str) -> str:
    return f"{metric.removesuffix(BEST)} best" if metric.endswith(BEST) else metric


def _row(rank: int, group: Group, board: Leaderboard) -> list[str]:
    values = [_number(group.mean(name)) for name in columns(board)]
    if board.has_seeds and board.objectives:
        values[1:1] = [_number(group.spreads[0] if group.spreads else None), str(group.n)]
    kind = [] if board.has_seeds and board.differing else [",".join(j.name for j in group.jobs)]
    place = str(rank) if group.scores else "-"
    if len(board.objectives) > 1:
        place = "*" if board.is_on_front(group) else ""
    settings = list(group.settings.values())
    seconds = "-" if group.seconds is None else f"{group.seconds:.1f}"
    return [place, *settings, *values, seconds, *kind, status(group.jobs)]


def status(jobs: Sequence[Job]) -> str:
    if len(jobs) == 1:
        return jobs[0].status
    done = sum(job.status == FINISHED for job in jobs)
    return FINISHED if done == len(jobs) else f"{done} of {len(jobs)} finished"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _of_the_lost(board: Leaderboard) -> Iterable[str]:
    jobs, names = board.lost, [*board.differing, *([SEED] if board.has_seeds else [])]
    if jobs:
        yield ""
    for job in jobs[:MOST_LOST]:
        words = " ".join(f"{name}={job.words[name]}" for name in names if name in job.words)
        yield f"job {job.name} {job.status} ({words})" + (f": {job.line}" if job.line else "")
    if len(jobs) > MOST_LOST:
        yield f"and {len(jobs) - MOST_LOST} more"
