"""What a sweep's jobs came to, and which setting is best: read from their folders, at any time."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from digits.errors import InputError
from digits.files import is_plain
from digits.inspection.statistics import Difference, difference, is_fraction
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.run import BEST, less_is_better
from digits.runs.status import DIVERGED, FAILED, FINISHED, KILLED, PRUNED, is_pruned
from digits.runs.words import OF_THE_FOLDER, key, unquoted
from digits.sweeps.sweep_folder import OF_THE_SWEEP, TESTS, SweepFolder, last_line
from digits.text import flat

WAITING = "waiting"  # planned, not begun
LONGER, SHORTER = "longer", "shorter"  # finished, in more or fewer epochs than its like
LOST = (LONGER, SHORTER, FAILED, DIVERGED, KILLED)  # no result of it counts
REPLICATES = ["seed"]  # of sweeps that have not recorded theirs
FAVOURITES = ("val/acc", "val/loss")  # to rank by, unless told
MAX_EPOCHS, MAX_STEPS = "trainer.max_epochs", "trainer.max_steps"  # what ended a whole run

Values = tuple[str | None, ...]  # of some settings


@dataclass(frozen=True)
class Result:
    """What a job's folder says. `words` are its overrides by name, `seconds` those of its fit,
    `line` is why it does not count.
    """

    name: str
    run: RunFolder
    words: Mapping[str, str]
    status: str = WAITING
    line: str | None = None
    ended: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    def score(self, metric: str) -> float | None:
        """A number that was measured; None for none, and for those that are not finite."""
        return _number(self.measured.get(metric)) if self.status == FINISHED else None

    @property
    def seconds(self) -> float | None:
        return _number(self.measured.get("fit_seconds"))

    @property
    def epochs(self) -> float | None:
        return _number(self.measured.get("epochs"))

    def of(self, names: Sequence[str]) -> Values:
        return tuple(self.words.get(name) for name in names)


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their replicates alone. `scores` are the objectives' means over the n of
    them that have been measured; `spreads` their standard deviations, None for one. `difference`
    is how far the first objective is above that of the best group.
    """

    jobs: list[Result]
    settings: dict[str, str]
    n: int
    scores: list[float]
    spreads: list[float | None]
    difference: Difference | None = None

    def score(self, metric: str) -> float | None:
        return _mean([job.score(metric) for job in self.jobs])

    @property
    def counted(self) -> list[Result]:
        return [job for job in self.jobs if job.status == FINISHED]

    @property
    def seconds(self) -> float | None:
        return _mean([job.seconds for job in self.counted])


@dataclass(frozen=True)
class Leaderboard:
    """Groups, best first; `objectives` are metrics of metrics.json (of several, the first ranks).
    `differing` settings are those that not all jobs share; those of them that are averaged over
    are `replicates` instead. Of objectives in `lesser` less is better.
    """

    sweep: SweepFolder
    jobs: list[Result]
    groups: list[Group]
    objectives: list[str]
    differing: list[str]
    replicates: list[str]
    lesser: frozenset[str] = frozenset()

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
    def lost(self) -> list[Result]:
        """Those first that an eye would not miss."""
        lost = [job for job in self.jobs if job.status in LOST]
        return sorted(lost, key=lambda job: job.status not in (LONGER, SHORTER))

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Of jobs, by name."""
        return {job.name: rank for rank, each in enumerate(self.groups, 1) for job in each.jobs}

    @cached_property
    def measured(self) -> list[str]:
        return list(dict.fromkeys(name for job in self.jobs for name in job.measured))

    def is_on_front(self, group: Group) -> bool:
        """Whether no other group is better in one objective and as good in all."""
        mine = [self._cost(i, score) for i, score in enumerate(group.scores)]
        others = ([self._cost(i, s) for i, s in enumerate(g.scores)] for g in self.groups)
        return bool(mine) and not any(
            theirs and theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))
            for theirs in others
        )

    def _cost(self, index: int, score: float) -> float:
        return score if self.objectives[index] in self.lesser else -score


def read(
    sweep: SweepFolder,
    metrics: Sequence[str] | None = None,
    replicates: Sequence[str] | None = None,
) -> Leaderboard:
    """By `metrics`, else by what the jobs were told to optimise, else by validation accuracy or
    loss, whichever was measured; over `replicates`, else what the jobs were told. Raises InputError
    if there is no sweep.
    """
    jobs = results(sweep)
    if not jobs:
        raise InputError(f"{sweep.path}: no sweep's folder; expected one with jobs in it")
    config = _recorded(jobs)
    names = dict.fromkeys(name for job in jobs for name in job.words)
    if unknown := [name for name in replicates or () if name not in names]:
        there_are = ", ".join(names) or "none"
        raise InputError(f"--replicates {unknown[0]}: no job sets it; there are: {there_are}")
    over = replicates or _listed(config.get("replicates", REPLICATES))
    differing = [name for name in names if len({job.words.get(name) for job in jobs}) > 1]
    over = [name for name in differing if name in over]
    differing = [name for name in differing if name not in over]
    jobs = _of_like_length(jobs, differing)
    objectives = _objectives(jobs, metrics, config)
    groups: dict[Values, list[Result]] = {}
    for job in jobs:
        groups.setdefault(job.of(differing), []).append(job)
    ranked = [_group(members, objectives, differing) for members in groups.values()]
    lesser = _lesser(sweep, objectives, config)
    if objectives:
        way = 1 if objectives[0] in lesser else -1
        # the mean of fewer replicates may be luck: below those with more
        ranked.sort(key=lambda g: (-g.n, way * g.scores[0]) if g.scores else (1, 0.0))
    if len(objectives) == 1 and over:
        ranked = _against_best(ranked, objectives[0], over)
    return Leaderboard(sweep, jobs, ranked, objectives, differing, over, lesser)


def results(sweep: SweepFolder) -> list[Result]:
    """Of all jobs, those that wait last."""
    planned = sweep.planned()
    begun = [_result(sweep.name(folder), folder, planned) for folder in sweep.runs()]
    names = {job.name for job in begun}
    waiting = [
        Result(name, RunFolder(sweep.path / name), settings(words))
        for name, words in planned.items()
        if name not in names
    ]
    return begun + waiting


def settings(words: Sequence[str]) -> dict[str, str]:
    """Overrides as values by name, without those that say where a job is."""
    kept = [word for word in words if key(word) not in (*OF_THE_FOLDER, *OF_THE_SWEEP)]
    return {flat(key(word)): flat(unquoted(word.partition("=")[2])) for word in kept}


def tested(board: Leaderboard) -> dict[str, list[float]]:
    """The scores of the winner's test, of each replicate: fractions and losses."""
    scores: dict[str, list[float]] = {}
    for job in board.winner.counted if board.winner else []:
        if not is_plain(board.sweep.path, f"{TESTS}/{job.name}/metrics.json"):
            continue
        measured = RunFolder(board.sweep.path / TESTS / job.name).measured()
        for name in ("test/acc", "test/loss"):
            if isinstance(value := measured.get(name), float):
                scores.setdefault(name, []).append(value)
    return scores


def _result(name: str, folder: RunFolder, planned: dict[str, list[str]]) -> Result:
    try:
        words = planned.get(name) or recorded.words(folder)
    except InputError:
        words = []
    told, measured = folder.status(), folder.measured()
    status = _text(told.status) if told else None
    if status is None or told is None:
        return Result(name, folder, settings(words), measured=measured)
    if status == FINISHED and is_pruned(measured):
        status = PRUNED
    line = (_text(told.error) or last_line(folder)) if status in LOST else None
    return Result(name, folder, settings(words), status, line, _text(told.ended), measured)


def _of_like_length(jobs: list[Result], differing: list[str]) -> list[Result]:
    """As they are, but those that ran to their end in more or fewer epochs than most of their kind:
    resume= has gone on with them.
    """
    kinds = [_kind(job, differing) for job in jobs]
    epochs: dict[Values, Counter[float]] = {}
    for job, kind in zip(jobs, kinds, strict=True):
        if kind and job.epochs:
            epochs.setdefault(kind, Counter())[job.epochs] += 1
    usual = {kind: min(each, key=lambda n: (-each[n], n)) for kind, each in epochs.items()}
    return [_judged(job, usual.get(kind or ())) for job, kind in zip(jobs, kinds, strict=True)]


def _kind(job: Result, differing: list[str]) -> Values | None:
    """What all jobs share that train for as many epochs; None if something else has ended it, such
    as early stopping or a clock.
    """
    ended = job.measured.get("ended", MAX_EPOCHS)
    if job.status != FINISHED or ended not in (MAX_EPOCHS, MAX_STEPS):
        return None
    choices = [name for name in differing if name.startswith("trainer.") or "." not in name]
    return ended, *job.of(choices if ended == MAX_EPOCHS else differing)  # steps: batches differ


def _judged(job: Result, usual: float | None) -> Result:
    if usual is None or job.epochs in (None, usual):
        return job
    line = f"{job.epochs:g} epochs, others {usual:g}: not counted"
    return replace(job, status=LONGER if job.epochs > usual else SHORTER, line=line)


def _recorded(jobs: Sequence[Result]) -> dict[str, Any]:
    """The settings of the first job that has written them."""
    for job in jobs:
        with suppress(InputError):
            if config := recorded.config(job.run):
                return config
    return {}


def _objectives(
    jobs: list[Result], metrics: Sequence[str] | None, config: dict[str, Any]
) -> list[str]:
    if told := metrics or _listed(config.get("optimized_metric")):
        objectives = [_best(name) for name in told]
    else:
        measured = {name for job in jobs for name in job.measured}
        others = sorted(n for n in measured if n.startswith("val") and n.endswith(BEST))
        names = (*(f"{name}{BEST}" for name in FAVOURITES), *others)
        objectives = [name for name in names if name in measured][:1]
    if metrics:
        measured = {n for job in jobs for n in job.measured if job.score(n) is not None}
        if missing := [name for name in objectives if name not in measured]:
            there_are = ", ".join(sorted(n for n in measured if "/" in n)) or "none yet"
            raise InputError(f"--metric {missing[0]}: not measured; there are: {there_are}")
    return objectives


def _lesser(sweep: SweepFolder, names: list[str], config: dict[str, Any]) -> frozenset[str]:
    """Those of which less is better: as hydra.sweeper.direction or a callback says, or by name."""
    told: Any = None
    with suppress(InputError):
        told = recorded.read_yaml(sweep.path / "multirun.yaml")
    for part in ("hydra", "sweeper", "direction"):
        told = told.get(part) if isinstance(told, dict) else None
    ways = told if isinstance(told, list) else [told] * len(names)
    if len(ways) == len(names) and {"minimize", "maximize"} >= set(map(str, ways)):
        return frozenset(n for n, way in zip(names, ways, strict=True) if way == "minimize")
    return frozenset(name for name in names if less_is_better(name, config))


def _best(metric: str) -> str:
    return f"{metric}{BEST}" if metric.startswith("val") and BEST not in metric else metric


def _group(jobs: list[Result], objectives: list[str], differing: list[str]) -> Group:
    scores = [[job.score(metric) for metric in objectives] for job in jobs]
    whole = [row for row in scores if row and None not in row]
    columns = [[float(value or 0) for value in column] for column in zip(*whole, strict=True)]
    return Group(
        jobs,
        {name: jobs[0].words.get(name, "") for name in differing},
        len(whole),
        [fmean(column) for column in columns],
        [stdev(column) if len(column) > 1 else None for column in columns],
    )


def _against_best(groups: list[Group], metric: str, replicates: list[str]) -> list[Group]:
    """With their differences to the first, of the replicates that both have."""

    def scores(group: Group) -> dict[Values, float]:
        return {job.of(replicates): score for job in group.jobs
                if (score := job.score(metric)) is not None}  # fmt: skip

    best, *others = groups
    most = 1.0 if is_fraction(metric.removesuffix(BEST)) else math.inf
    return [best, *(replace(each, difference=difference(scores(each), scores(best), most))
                    for each in others)]  # fmt: skip


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] * bool(value)


def _text(value: object) -> str | None:
    """Somebody's, if it is one."""
    return flat(value) if isinstance(value, str) else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
