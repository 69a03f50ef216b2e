"""A leaderboard in its folder, as CSV and page, and as text."""

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from digits.files import relative, write_atomically
from digits.runs.run import BEST
from digits.sweeps import leaderboard, page
from digits.sweeps.leaderboard import LONGER, LOST, REPLICATES, SHORTER, Group, Leaderboard
from digits.sweeps.sweep_folder import SweepFolder
from digits.text import aligned, flat

MOST_ROWS, MOST_LOST = 20, 10  # on a terminal; the files have all
MOST_CHARACTERS = 40  # of a cell
SECONDS = "fit_seconds"
GAPS = ("difference", "difference_low", "difference_high", "pairs")


def write(
    sweep: SweepFolder,
    metrics: Sequence[str] | None = None,
    replicates: Sequence[str] | None = None,
) -> str:
    """The leaderboard's files; returns the text. Raises InputError if there is no sweep, or no such
    metric or replicate.
    """
    board = leaderboard.read(sweep, metrics, replicates)
    _write_csv(board)
    page.write(board)
    return text(board)


def text(board: Leaderboard) -> str:
    """What a terminal shows: groups, best first, with the columns that it has room for (no terminal
    has for all); what became of the rest; the winner.
    """
    kinds = ", ".join(f"{count} {kind}" for kind, count in board.counts.items())
    counts = flat(f"sweep {relative(board.sweep.path)}: {len(board.jobs)} jobs, {kinds}")
    lines = [counts, "", *_table(board, shutil.get_terminal_size((1000, 0)).columns)]
    if len(board.groups) > MOST_ROWS:
        more = len(board.groups) - MOST_ROWS
        lines.append(flat(f"and {more} more: {relative(board.sweep.leaderboard_csv)}"))
    lines += _of_the_lost(board)
    if verdict := board.verdict:
        lines += ["", verdict]
    return "\n".join([*lines, flat(f"page  {relative(board.sweep.page)}")])


def _write_csv(board: Leaderboard) -> None:
    """A row for each job, in the order of the leaderboard, with all that was measured."""
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
    """A sweep over seeds alone, say: each of them, then mean and standard deviation."""
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


def _title(metric: str) -> str:
    if metric == SECONDS:
        return "seconds"
    return f"{metric.removesuffix(BEST)} best" if metric.endswith(BEST) else metric


def _number(value: float | None, name: str = "") -> str:
    return "-" if value is None else f"{value:.{1 if name == SECONDS else 4}f}"


def _of_the_lost(board: Leaderboard) -> Iterator[str]:
    """Those first that an eye would not miss."""
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
