"""Which setting of a sweep is best: read from its jobs' folders, at any time."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from digits.errors import InputError
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.scores import BEST, less_is_better
from digits.runs.status import FINISHED
from digits.sweeps import jobs as jobs_of
from digits.sweeps.folder import TESTS, SweepFolder
from digits.sweeps.jobs import LOST, Job

SEED = "seed"
FAVOURITES = ("val/acc", "val/loss")  # to rank by, unless told


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed alone. `scores` are the objectives' means over the n of them
    that have been measured; `spreads` their standard deviations, None for one.
    """

    jobs: list[Job]
    settings: dict[str, str]
    n: int
    scores: list[float]
    spreads: list[float | None]

    def mean(self, metric: str) -> float | None:
        return _mean([job.score(metric) for job in self.jobs])

    @property
    def seconds(self) -> float | None:
        return _mean([job.seconds for job in self.jobs if job.status == FINISHED])


@dataclass(frozen=True)
class Leaderboard:
    """Groups, best first; `objectives` are metrics of metrics.json (of several, the first ranks).
    `differing` settings are those that not all jobs share, without the seed.
    """

    sweep: SweepFolder
    jobs: list[Job]
    groups: list[Group]
    objectives: list[str]
    differing: list[str]
    has_seeds: bool

    @property
    def winner(self) -> Group | None:
        """None without validation, and for several objectives: there the front wins."""
        has_one = len(self.objectives) == 1 and self.groups and self.groups[0].scores
        return self.groups[0] if has_one else None

    @property
    def counts(self) -> Counter[str]:
        """Of jobs, by status."""
        return Counter(job.status for job in self.jobs)

    @property
    def lost(self) -> list[Job]:
        return [job for job in self.jobs if job.status in LOST]

    def is_on_front(self, group: Group) -> bool:
        """Whether no other group is better in one objective and as good in all."""
        mine = [self._cost(i, score) for i, score in enumerate(group.scores)]
        others = ([self._cost(i, s) for i, s in enumerate(g.scores)] for g in self.groups)
        return bool(mine) and not any(
            theirs and theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))
            for theirs in others
        )

    def _cost(self, index: int, score: float) -> float:
        return score if less_is_better(self.objectives[index]) else -score


def read(sweep: SweepFolder, metrics: Sequence[str] | None = None) -> Leaderboard:
    """By `metrics`, else by what the jobs were told to optimise, else by validation accuracy or
    loss, whichever was measured. Raises InputError if there is no sweep.
    """
    jobs = jobs_of.read(sweep)
    if not jobs:
        raise InputError(f"{sweep.path}: no sweep's folder; expected one with jobs in it")
    objectives = [_best(name) for name in metrics or _optimised(jobs)]
    measured = {name for job in jobs for name in job.measured if job.score(name) is not None}
    if metrics and (missing := [name for name in objectives if name not in measured]):
        there_are = ", ".join(sorted(name for name in measured if "/" in name)) or "none yet"
        raise InputError(f"--metric {missing[0]}: not measured; there are: {there_are}")
    names = dict.fromkeys(name for job in jobs for name in job.words)
    differing = [name for name in names if len({job.words.get(name) for job in jobs}) > 1]
    has_seeds = SEED in differing
    differing = [name for name in differing if name != SEED]
    groups: dict[tuple[str | None, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(job.words.get(name) for name in differing), []).append(job)
    ranked = [_group(members, objectives, differing) for members in groups.values()]
    if objectives:
        way = 1 if less_is_better(objectives[0]) else -1
        # the mean of fewer seeds may be luck: below those with more
        ranked.sort(key=lambda g: (-g.n, way * g.scores[0]) if g.scores else (1, 0.0))
    return Leaderboard(sweep, jobs, ranked, objectives, differing, has_seeds)


def tested(board: Leaderboard) -> dict[str, list[float]]:
    """The scores of the winner's test, of each seed: fractions and losses."""
    scores: dict[str, list[float]] = {}
    for job in board.winner.jobs if board.winner else []:
        measured = RunFolder(board.sweep.path / TESTS / job.name).measured()
        for name in ("test/acc", "test/loss"):
            if isinstance(value := measured.get(name), float):
                scores.setdefault(name, []).append(value)
    return scores


def _optimised(jobs: list[Job]) -> list[str]:
    """What the jobs were told to optimise, or what was measured."""
    for job in jobs:
        try:
            told = recorded.config(job.run).get("optimized_metric")
        except InputError:
            continue
        if told:
            return [str(name) for name in (told if isinstance(told, list) else [told])]
        break
    measured = {name for job in jobs for name in job.measured}
    others = sorted(n.removesuffix(BEST) for n in measured if n.startswith("val") and BEST in n)
    return [name for name in (*FAVOURITES, *others) if f"{name}{BEST}" in measured][:1]


def _best(metric: str) -> str:
    return f"{metric}{BEST}" if metric.startswith("val") and BEST not in metric else metric


def _group(jobs: list[Job], objectives: list[str], differing: list[str]) -> Group:
    scores = [[job.score(metric) for metric in objectives] for job in jobs]
    whole = [row for row in scores if row and None not in row]
    columns = [[float(value or 0) for value in column] for column in zip(*whole, strict=True)]
    return Group(
        jobs,
        {name: jobs[0].words.get(name, "") for name in differing},
        len(whole),
        [statistics.fmean(column) for column in columns],
        [statistics.stdev(column) if len(column) > 1 else None for column in columns],
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
