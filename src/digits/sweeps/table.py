"""A leaderboard as text and as CSV."""

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from digits.files import relative, write_atomically
from digits.runs.run import BEST
from digits.runs.status import FINISHED
from digits.sweeps import leaderboard
from digits.sweeps.leaderboard import REPLICATES, Group, Leaderboard, Result
from digits.text import aligned, flat

MOST_ROWS, MOST_LOST = 20, 10  # on a terminal; the files have all
MOST_CHARACTERS = 40  # of a cell
SECONDS = "seconds"  # a column that is no metric's
OTHERS = ("val/acc_best", "val/loss_best", "train/loss", "test/acc", "test/loss")
NO_VALIDATION = (
    "no validation: nothing says which setting is best; data.val_size=10000 holds images out"
)


def text(board: Leaderboard) -> str:
    """What a terminal shows: groups, best first, with the columns that it has room for (no terminal
    has for all); what became of the rest; the winner.
    """
    lines = [_counts(board), "", *_table(board, shutil.get_terminal_size((1000, 0)).columns)]
    if len(board.groups) > MOST_ROWS:
        more = len(board.groups) - MOST_ROWS
        lines.append(flat(f"and {more} more: {relative(board.sweep.leaderboard_csv)}"))
    lines += _of_the_lost(board)
    if told := verdict(board):
        lines += ["", told]
    return "\n".join([*lines, flat(f"page  {relative(board.sweep.page)}")])


def shown(group: Group) -> str:
    return " ".join(f"{name}={value}" for name, value in group.settings.items())


def over(board: Leaderboard) -> str:
    """What the means are over."""
    return "seeds" if board.replicates == REPLICATES else ", ".join(board.replicates)


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
        spread = f" +- {stdev(scores):.4f}" if len(scores) > 1 else ""
        parts.append(f"{name} {fmean(scores):.4f}{spread} (n={len(scores)})")
    return ", ".join(parts)


def write_csv(board: Leaderboard) -> None:
    """A row for each job, in the order of the leaderboard, with all that was measured."""
    settings = list(dict.fromkeys(name for job in board.jobs for name in job.words))
    measured = [name for name in board.measured if name not in settings]
    has_gaps = any(group.difference for group in board.groups)
    gaps = ["difference", "difference_low", "difference_high", "pairs"] * has_gaps
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["rank", "job", "status", *settings, *map(flat, measured), *gaps, "error"])
    for rank, group in enumerate(board.groups, 1):
        gap = group.difference
        paired = [gap.mean, *(gap.interval or ("", "")), gap.pairs] if gap else [""] * 4
        for job in group.jobs:
            values = [job.words.get(name, "") for name in settings]
            values += [_cell(job.measured.get(name, "")) for name in measured]
            values += map(str, paired[: len(gaps)])
            writer.writerow([rank, flat(job.name), job.status, *values, job.line or ""])
    write_atomically(board.sweep.leaderboard_csv, file.getvalue().encode())


def columns(board: Leaderboard) -> list[str]:
    """The metrics worth a column: each objective's best and last value, then the other scores of
    validation.
    """
    names = []
    for name in dict.fromkeys((*board.objectives, *(n for n in OTHERS if n in board.measured))):
        last = name.removesuffix(BEST)
        names += [name, last] if last != name and last in board.measured else [name]
    return list(dict.fromkeys(names))


def status(jobs: Sequence[Result]) -> str:
    if len(jobs) == 1:
        return jobs[0].status
    done = sum(job.status == FINISHED for job in jobs)
    return FINISHED if done == len(jobs) else f"{done} of {len(jobs)} finished"


def _counts(board: Leaderboard) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in board.counts.items())
    return flat(f"sweep {relative(board.sweep.path)}: {len(board.jobs)} jobs, {kinds}")


def _table(board: Leaderboard, width: int) -> list[str]:
    are_replicates = board.replicates and not board.differing
    names = [*columns(board), SECONDS]
    while True:
        rows = [*(_replicates if are_replicates else _groups)(board, names)]
        lines = aligned([[_cut(cell) for cell in row] for row in rows])
        if len(names) < 2 or max(map(len, lines)) <= width:
            return lines
        names.pop()


def _replicates(board: Leaderboard, names: list[str]) -> Iterator[list[str]]:
    """A sweep over seeds alone, say: each of them, then mean and standard deviation."""
    yield [*_short(board.replicates), *map(_column, names), "job", "status"]
    for job in board.jobs[:MOST_ROWS]:
        replicate = [job.words.get(name, "") for name in board.replicates]
        yield [*replicate, *(_number(_of(job, name), name) for name in names), job.name, job.status]
    scores = [[s for job in board.jobs if (s := _of(job, name)) is not None] for name in names]
    if all(len(each) > 1 for each in scores):
        for title, of in (("mean", fmean), ("+-", stdev)):
            found = [_number(of(each), name) for each, name in zip(scores, names, strict=True)]
            yield [title, *[""] * (len(board.replicates) - 1), *found, "", ""]


def _groups(board: Leaderboard, names: list[str]) -> Iterator[list[str]]:
    means = ["+-", over(board) if board.replicates == REPLICATES else "n", "against best, 95 %"]
    means = means[: 3 if board.winner else 2] if board.replicates and board.objectives else []
    job = [] if board.replicates else ["job"]
    titles = [_column(name) for name in names]
    titles[1:1] = means
    yield ["", *_short(board.differing), *titles, *job, "status"]
    for rank, group in enumerate(board.groups[:MOST_ROWS], 1):
        place = str(rank) if group.scores else "-"
        if len(board.objectives) > 1:
            place = "*" if board.is_on_front(group) else ""
        values = [_number(_of(group, name), name) for name in names]
        spread = _number(group.spreads[0] if group.spreads else None)
        values[1:1] = [spread, str(group.n), _against(group)][: len(means)]
        job = [",".join(each.name for each in group.jobs)][: len(job)]
        yield [place, *group.settings.values(), *values, *job, status(group.jobs)]


def _against(group: Group) -> str:
    gap = group.difference
    pairs = f" (n={gap.pairs})" if gap and gap.interval and gap.pairs != group.n else ""
    return f"{gap}{pairs}" if gap else "-"


def _short(settings: list[str]) -> list[str]:
    """Their last parts, where those tell them apart."""
    last = [name.rpartition(".")[2] for name in settings]
    return [short if last.count(short) == 1 else name
            for short, name in zip(last, settings, strict=True)]  # fmt: skip


def _cut(cell: str) -> str:
    cell = flat(cell)
    return cell if len(cell) <= MOST_CHARACTERS else f"{cell[: MOST_CHARACTERS - 3]}..."


def _column(metric: str) -> str:
    return f"{metric.removesuffix(BEST)} best" if metric.endswith(BEST) else metric


def _of(row: Result | Group, name: str) -> float | None:
    return row.seconds if name == SECONDS else row.score(name)


def _number(value: float | None, name: str = "") -> str:
    return "-" if value is None else f"{value:.{1 if name == SECONDS else 4}f}"


def _cell(value: object) -> str:
    return str(value) if isinstance(value, int | float) else flat(str(value))


def _of_the_lost(board: Leaderboard) -> Iterator[str]:
    jobs, names = board.lost, [*board.differing, *board.replicates]
    if jobs:
        yield ""
    for job in jobs[:MOST_LOST]:
        words = " ".join(f"{name}={job.words[name]}" for name in names if name in job.words)
        told = f"job {flat(job.name)} {job.status} ({words})"
        yield f"{told}: {job.line}" if job.line else told
    if len(jobs) > MOST_LOST:
        yield f"and {len(jobs) - MOST_LOST} more"
