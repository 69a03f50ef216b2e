"""What a sweep's jobs measured, and which setting is best, as their folders say at any time."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from digits.errors import InputError
from digits.inspection.statistics import FRACTIONS, Difference, difference
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.monitors import BEST, by_common_names, common, less_is_better
from digits.runs.status import DIVERGED, FAILED, FINISHED, KILLED, PRUNED, Status, is_pruned
from digits.runs.words import key, value_text
from digits.sweeps.sweep_folder import SweepFolder, known_by, last_line
from digits.text import flat

WAITING = "waiting"  # it is planned, but has not begun
LONGER, SHORTER = "longer", "shorter"  # finished in more or fewer epochs than others
LOST = (LONGER, SHORTER, FAILED, DIVERGED, KILLED)  # their results do not count
REPLICATES = ["seed"]  # for sweeps that have recorded none
FAVOURITES = ("val/acc_best", "val/loss_best")  # rank by them if no metric is given
COLUMNS = (*FAVOURITES, "train/loss", "test/acc", "test/loss")  # shown beside the objectives
MAX_EPOCHS, MAX_STEPS = "trainer.max_epochs", "trainer.max_steps"  # either one ends a complete run
NO_VALIDATION = (
    "no validation: nothing says which setting is best; data.val_size=10000 holds images out"
)

Values = tuple[str | None, ...]  # the values of some settings


@dataclass
class Result:
    """The result in a job's folder. `words` are its overrides by name, `line` says why it does not
    count, `measured` is metrics.json.
    """

    name: str
    run: RunFolder
    words: dict[str, str]
    status: str
    line: str | None
    ended: str | None
    measured: dict[str, Any]

    def number(self, name: str) -> float | None:
        """Return a measured number; None if it is missing or not finite."""
        value: Any = self.measured.get(name)
        is_number = isinstance(value, int | float) and math.isfinite(value)
        return float(value) if is_number else None

    def score(self, metric: str) -> float | None:
        return self.number(metric) if self.status == FINISHED else None

    def scores(self, metrics: Sequence[str]) -> list[float]:
        """Return the scores that the job has."""
        return [score for name in metrics if (score := self.score(name)) is not None]

    def of(self, names: Sequence[str]) -> Values:
        return tuple(self.words.get(name) for name in names)


@dataclass
class Group:
    """Jobs that differ in their replicates alone. `scores` are the objectives' means over the `n`
    jobs that have them all; `costs` are the same, negated where more is better. `spread` is the
    standard deviation of the first objective, None for one job. `difference` is how far the first
    objective is above that of the best group.
    """

    jobs: list[Result]
    settings: dict[str, str]
    n: int
    scores: list[float]
    costs: list[float]
    spread: float | None
    difference: Difference | None = None

    def score(self, metric: str) -> float | None:
        known = [score for job in self.jobs for score in job.scores([metric])]
        return fmean(known) if known else None

    @property
    def counted(self) -> list[Result]:
        return [job for job in self.jobs if job.status == FINISHED]

    @property
    def status(self) -> str:
        if len(self.jobs) == 1:
            return self.jobs[0].status
        done, count = len(self.counted), len(self.jobs)
        return FINISHED if done == count else f"{done} of {count} finished"


@dataclass
class Leaderboard:
    """Groups, best first. `objectives` are metrics of metrics.json; the first one ranks. The jobs
    do not share the settings in `differing`, nor those in `replicates`, which are averaged over.
    Less is better for the objectives in `lesser`.
    """

    sweep: SweepFolder
    jobs: list[Result]
    groups: list[Group]
    objectives: list[str]
    differing: list[str]
    replicates: list[str]
    lesser: set[str]

    @property
    def winner(self) -> Group | None:
        """Return the best group; None without validation, or for several objectives."""
        has_one = len(self.objectives) == 1 and self.groups[0].scores
        return self.groups[0] if has_one else None

    @property
    def verdict(self) -> str:
        """Return a line with the best setting and its test scores; empty if there was no choice."""
        if not self.differing or not self.winner:
            is_blind = self.differing and not self.objectives and "epochs" in self.measured
            return NO_VALIDATION if is_blind else ""
        parts = ["best  " + " ".join(f"{k}={value}" for k, value in self.winner.settings.items())]
        tests = [by_common_names(self.sweep.tested(j.name)) for j in self.winner.counted]
        for name in ("test/acc", "test/loss"):
            if scores := [test[name] for test in tests if isinstance(test.get(name), float)]:
                spread = f" +- {stdev(scores):.4f}" if len(scores) > 1 else ""
                parts.append(f"{name} {fmean(scores):.4f}{spread} (n={len(scores)})")
        return ", ".join(parts)

    @property
    def counts(self) -> Counter[str]:
        """Return how many jobs have each status."""
        return Counter(job.status for job in self.jobs)

    @cached_property
    def measured(self) -> list[str]:
        return list(dict.fromkeys(name for job in self.jobs for name in job.measured))

    @cached_property
    def columns(self) -> list[str]:
        """Return the columns' metrics: each objective's best and last value, then other scores."""
        names, known = [], by_common_names({name: name for name in self.measured})
        for name in (*self.objectives, *(known[name] for name in COLUMNS if name in known)):
            last = name.removesuffix(BEST)
            names += [name, last] if last in self.measured else [name]
        return list(dict.fromkeys(names))

    def is_on_front(self, group: Group) -> bool:
        """Whether no other group is at least as good in all objectives and better in one."""
        others = (other.costs for other in self.groups if other.costs != group.costs)
        return bool(group.costs) and not any(
            costs and all(a <= b for a, b in zip(costs, group.costs, strict=True))
            for costs in others
        )


def read(
    sweep: SweepFolder,
    metrics: Sequence[str] | None = None,
    replicates: Sequence[str] | None = None,
) -> Leaderboard:
    """Rank a sweep's jobs by `metrics`, else by their optimized_metric, else by validation accuracy
    or loss; average over `replicates`, else over those that the jobs were given. Raises InputError
    if there is no sweep.
    """
    jobs = [_result(*each) for each in sweep.jobs()]
    if not jobs:
        raise InputError(f"{sweep.path}: no sweep's folder; expected one with jobs in it")
    config = _recorded(jobs)
    names = dict.fromkeys(name for job in jobs for name in job.words)
    if unknown := [name for name in replicates or () if name not in names]:
        there_are = ", ".join(names) or "none"
        raise InputError(f"--replicates {unknown[0]}: no job sets it; there are: {there_are}")
    told = replicates or _listed(config.get("replicates", REPLICATES))
    varied = [name for name in names if len({job.words.get(name) for job in jobs}) > 1]
    over = [name for name in varied if name in told]
    differing = [name for name in varied if name not in told]
    _discount_other_lengths(jobs, differing)
    objectives = _objectives(jobs, metrics, config)
    lesser = {name for name in objectives if less_is_better(name, config)}
    if not metrics:
        lesser = _directed(sweep, objectives, lesser)
    alike: dict[Values, list[Result]] = {}
    for job in jobs:
        alike.setdefault(job.of(differing), []).append(job)
    groups = [_group(each, objectives, lesser, differing) for each in alike.values()]
    # groups with fewer replicates come below those with more, since their mean may be luck
    groups.sort(key=lambda group: (-group.n, group.costs[0] if group.costs else 0.0))
    if len(objectives) == 1 and over:
        _compare_with_best(groups, objectives[0], over)
    return Leaderboard(sweep, jobs, groups, objectives, differing, over, lesser)


def _result(name: str, run: RunFolder, words: Sequence[str]) -> Result:
    told, measured = run.status() or Status(WAITING), run.measured()
    status = _text(told.status) or WAITING
    if status == FINISHED and is_pruned(measured):
        status = PRUNED
    line = (_text(told.error) or last_line(run)) if status in LOST else None
    settings = {flat(key(w)): flat(value_text(w)) for w in known_by(words)}
    return Result(name, run, settings, status, line, _text(told.ended), measured)


def _discount_other_lengths(jobs: list[Result], differing: list[str]) -> None:
    """Mark finished jobs that trained more or fewer epochs than most of their kind: resume= has
    gone on with them. Early stopping or a time limit may end a job anywhere, so such jobs count.
    """
    choices = [name for name in differing if name.startswith("trainer.") or "." not in name]
    kinds: dict[Values, list[tuple[Result, float]]] = {}
    for job in jobs:
        ended, epochs = job.measured.get("ended", MAX_EPOCHS), job.score("epochs")
        if epochs is not None and ended in (MAX_EPOCHS, MAX_STEPS):
            names = choices if ended == MAX_EPOCHS else differing  # steps per epoch may differ
            kinds.setdefault((ended, *job.of(names)), []).append((job, epochs))
    for members in kinds.values():
        counts = Counter(epochs for _, epochs in members)
        usual = min(counts, key=lambda epochs: (-counts[epochs], epochs))
        for job, epochs in members:
            if epochs != usual:
                job.status = LONGER if epochs > usual else SHORTER
                job.line = f"{epochs:g} epochs, others {usual:g}: not counted"


def _recorded(jobs: Sequence[Result]) -> dict[str, Any]:
    """Return the settings of the first job that has written any."""
    for job in jobs:
        with suppress(InputError):
            if config := recorded.config(job.run):
                return config
    return {}


def _objectives(
    jobs: list[Result], metrics: Sequence[str] | None, config: dict[str, Any]
) -> list[str]:
    told = metrics or _listed(config.get("optimized_metric"))
    if not told:
        measured = sorted({name for job in jobs for name in job.measured})
        known = by_common_names({name: name for name in measured})
        others = [n for n in measured if n.startswith("val") and n.endswith(BEST)]
        return [*(known[name] for name in FAVOURITES if name in known), *others][:1]
    objectives = [f"{n}{BEST}" if n.startswith("val") and BEST not in n else n for n in told]
    if metrics:
        scored = {n for job in jobs for n in job.measured if job.score(n) is not None}
        if missing := [name for name in objectives if name not in scored]:
            there_are = ", ".join(sorted(n for n in scored if "/" in n)) or "none yet"
            raise InputError(f"--metric {missing[0]}: not measured; there are: {there_are}")
    return objectives


def _directed(sweep: SweepFolder, names: list[str], lesser: set[str]) -> set[str]:
    """Return the objectives that hydra.sweeper.direction minimizes; else `lesser`."""
    told: Any = None
    with suppress(InputError):
        told = recorded.read_yaml(sweep.path / "multirun.yaml")
    for part in ("hydra", "sweeper", "direction"):
        told = told.get(part) if isinstance(told, dict) else None
    ways = told if isinstance(told, list) else [told] * len(names)
    if len(ways) == len(names) and {"minimize", "maximize"} >= set(map(str, ways)):
        return {name for name, way in zip(names, ways, strict=True) if way == "minimize"}
    return lesser


def _group(
    jobs: list[Result], objectives: list[str], lesser: set[str], differing: list[str]
) -> Group:
    rows = [job.scores(objectives) for job in jobs]
    whole = [row for row in rows if row and len(row) == len(objectives)]
    columns = list(zip(*whole, strict=True))
    scores = [fmean(column) for column in columns]
    costs = [s if name in lesser else -s for name, s in zip(objectives, scores, strict=False)]
    spread = stdev(columns[0]) if len(whole) > 1 else None
    settings = {name: jobs[0].words.get(name, "") for name in differing}
    return Group(jobs, settings, len(whole), scores, costs, spread)


def _compare_with_best(groups: list[Group], metric: str, replicates: list[str]) -> None:
    """Compare each group with the best one in pairs of jobs with the same replicates."""
    is_fraction = common(metric).removesuffix(BEST).rpartition("/")[2] in FRACTIONS
    best, *others = (
        {job.of(replicates): score for job in group.jobs for score in job.scores([metric])}
        for group in groups
    )
    for group, scores in zip(groups[1:], others, strict=True):
        group.difference = difference(scores, best, 1 if is_fraction else math.inf)


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] * bool(value)


def _text(value: object) -> str | None:
    """Return text that anyone may have written, on one line; None for other values."""
    return flat(value) if isinstance(value, str) else None
