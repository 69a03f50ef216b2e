"""A search by Optuna: it asks for trials, has them run as a sweep's jobs, and tells the results.

Sweeps may share a study. Trials of one that was killed stay RUNNING in Optuna for ever: the sweep,
when it goes on, goes on with them.
"""

import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from digits.errors import InputError, flat
from digits.runs.folder import FINISHED, KILLED, STOPPED
from digits.runs.scores import less_is_better
from digits.sweeps import leaderboard, space
from digits.sweeps.folder import STORAGE, TRIAL, SweepFolder
from digits.sweeps.launch import Job, Outcome
from digits.sweeps.study import name_trial, opened

log = logging.getLogger(__name__)

SWEEP, WORDS, RETRY_OF, WARM, SURPLUS = "sweep", "words", "retry_of", "warm_start", "surplus"
NOT_FOR_JOBS = ("sweep", "fail_fast")
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


class Search:
    """With the options of configs/hydra/sweeper/optuna.yaml; `sweep` runs jobs."""

    def __init__(self, options: dict[str, Any], config: DictConfig, sweep: Any) -> None:
        self.options, self.config, self.sweep = options, config, sweep
        folder: Path = sweep.folder.path
        self.folder = str(folder)
        storage = options.get("storage") or f"sqlite:///{folder / 'study.db'}"
        self.n_trials = _n_trials(options.get("n_trials"))
        self.metrics = _metrics(config.get("optimized_metric"))
        directions = _directions(options.get("direction"), self.metrics)
        os.environ[STORAGE] = storage
        name = options.get("study_name") or folder.name
        pruner = _made("pruner", options["pruner"]) if options.get("pruner") else None
        self.study = opened(storage, name, directions)
        self.study.pruner = pruner or optuna.pruners.NopPruner()
        self.study.sampler = self._sampler()
        self.lost = 0  # trials that failed, in this process
        self.running: dict[Job, FrozenTrial] = {}

    def run(self, arguments: Sequence[str]) -> None:
        words = [word for word in arguments if word.partition("=")[0] not in NOT_FOR_JOBS]
        self.space = space.of(
            _plain(self.options.get("params")), _plain(self.options.get("when")), words
        )
        self.sweep.begin()
        for folder in self.options.get("warm_start") or []:
            self._know(SweepFolder(folder))
        mine = [trial for trial in self.study.get_trials() if self._is_mine(trial)]
        self.left = iter(mine)
        counted = sum(trial.state in COUNTED for trial in self._counted())
        self.sweep.run(self._next, self._ended, max(0, self.n_trials - counted) + len(mine))

    def _sampler(self) -> Any:
        """Its seed moves on with the study: the same numbers again would be the same trials."""
        options: Any = self.options["sampler"]
        if OmegaConf.select(options, "seed") is None:
            return _made("sampler", options)
        seed = int(options.seed) + len(self.study.get_trials(deepcopy=False))
        if self.options.get("storage"):  # others may begin at the same time
            seed += zlib.crc32(self.folder.encode())
        return _made("sampler", options, seed=seed % 2**31)

    def _next(self) -> Job | None:
        """Those of a killed sweep first."""
        if trial := next(self.left, None):
            return self._job(trial, trial.user_attrs[WORDS])
        asked = self._ask() if self.lost <= self.n_trials else None
        return self._job(*asked) if asked else None

    def _ask(self) -> tuple[FrozenTrial, list[str]] | None:
        """None once there are enough. Who asks at the same time sees it by the trial's rank."""
        if sum(trial.state in COUNTED for trial in self._counted()) >= self.n_trials:
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting:
                return None
        trial = self.study.ask()
        rank = [t.number for t in self._counted() if t.state in COUNTED].index(trial.number)
        if rank >= self.n_trials:
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        words = self.space.words(trial)
        trial.set_user_attr(SWEEP, self.folder)
        trial.set_user_attr(WORDS, words)
        return self.study.trials[trial.number], words

    def _counted(self) -> list[FrozenTrial]:
        return [t for t in self.study.get_trials(deepcopy=False) if WARM not in t.user_attrs]

    def _is_mine(self, trial: FrozenTrial) -> bool:
        """Left by this sweep, when it was killed: its folder is locked, nobody else runs it."""
        is_ours = trial.user_attrs.get(SWEEP) == self.folder and WORDS in trial.user_attrs
        return is_ours and trial.state == TrialState.RUNNING

    def _job(self, trial: FrozenTrial, words: Sequence[str]) -> Job:
        """A second try goes on in the folder of the first."""
        number = trial.user_attrs.get(RETRY_OF, trial.number)
        names = set(self.space.chosen)
        label = " ".join(word for word in words if word.partition("=")[0] in names)
        told = name_trial(self.study.study_name, trial)
        job = Job(number, tuple(words), Path(self.folder) / str(number), label, ((TRIAL, told),))
        self.running[job] = trial
        return job

    def _ended(self, outcome: Outcome) -> None:
        trial, status = self.running.pop(outcome.job), outcome.status
        if status.status == STOPPED:
            return  # it goes on with the sweep
        if status.status == FINISHED and outcome.is_pruned and len(self.metrics) == 1:
            self.study.tell(trial.number, state=TrialState.PRUNED)
        elif status.status == FINISHED and outcome.objective is not None:
            self.study.tell(trial.number, outcome.objective)
        else:
            self.lost += 1
            self.study.tell(trial.number, state=TrialState.FAIL)
            if status.status == KILLED and RETRY_OF not in trial.user_attrs:
                self.study.enqueue_trial(trial.params, {RETRY_OF: trial.number})

    def _know(self, earlier: SweepFolder) -> None:
        """Raises InputError if it is no sweep's folder, or knows nothing of use here."""
        known = {trial.user_attrs.get(WARM) for trial in self.study.get_trials(deepcopy=False)}
        board = leaderboard.read(earlier, self.metrics)
        count = 0
        for job in board.jobs:
            scores = [job.score(name) for name in board.objectives]
            chosen = self.space.parameters(job.words)
            source = str(job.run.path.absolute())
            if chosen is None or None in scores:
                continue
            count += 1
            if source not in known:
                self.study.add_trial(
                    optuna.trial.create_trial(
                        params=chosen,
                        distributions={name: self.space.chosen[name] for name in chosen},
                        values=scores,  # type: ignore[arg-type]
                        user_attrs={WARM: source},
                    )
                )
        if not count:
            raise InputError(
                f"hydra.sweeper.warm_start={earlier.path}: none of its jobs chose from these params"
            )
        log.info("%d results of %s are known", count, earlier.path)


def _made(name: str, options: Any, **more: Any) -> Any:
    try:
        return instantiate(options, **more)
    except InstantiationException as error:
        reason = flat(str(error.__cause__ or error))
        raise InputError(f"hydra.sweeper.{name}: {reason}") from error


def _n_trials(value: object) -> int:
    if type(value) is int and value > 0:
        return value
    raise InputError(f"hydra.sweeper.n_trials={value}: expected a whole number from 1")


def _metrics(value: Any) -> list[str]:
    if value is None:
        raise InputError("optimized_metric=null: expected what to search for, e.g. val/acc")
    return [value] if isinstance(value, str) else [str(name) for name in value]


def _directions(given: Any, metrics: list[str]) -> list[str]:
    if given is None:
        return ["minimize" if less_is_better(name) else "maximize" for name in metrics]
    told = [given] if isinstance(given, str) else [str(way) for way in given]
    if len(told) != len(metrics) or not {*told} <= {"minimize", "maximize"}:
        raise InputError(
            f"hydra.sweeper.direction={given}: expected minimize or maximize for each of "
            + ", ".join(metrics)
        )
    return told


def _plain(value: Any) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(OmegaConf.create(value or {}), resolve=True)
    return dict(plain)
