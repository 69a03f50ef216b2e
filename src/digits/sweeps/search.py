"""A search by Optuna: it asks for trials, runs them as a sweep's jobs, and reports their results.

Sweeps may share a study. The trials of a killed sweep stay RUNNING in Optuna for ever, so the sweep
resumes them when it goes on. Anyone may have written to a study, so the words in it are not used: a
job's words are made anew from the values that its trial chose.
"""

import json
import logging
import os
import time
import warnings
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import URL

from digits.errors import InputError
from digits.runs.folder import RunFolder
from digits.runs.monitors import less_is_better
from digits.runs.status import FINISHED, KILLED, STOPPED, Status, is_pruned
from digits.sweeps import study
from digits.sweeps.job import Job
from digits.sweeps.sweep_folder import PRUNER, STORAGE, TRIAL, SweepFolder, for_jobs
from digits.text import flat, without_passwords

log = logging.getLogger(__name__)

SWEEP, RETRY_OF, SURPLUS = "sweep", "retry_of", "surplus"  # attributes of a trial
METRICS = "metrics"  # an attribute of a study
CLAIM_S = 10
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
WAYS = ("minimize", "maximize")


class Search:
    """Searches with the options of configs/hydra/sweeper/optuna.yaml; `sweep` runs the jobs."""

    def __init__(self, options: dict[str, Any], config: DictConfig, sweep: Any) -> None:
        self.options, self.config, self.sweep = options, config, sweep
        self.folder = str(sweep.folder.path)
        self.n_trials: Any = options.get("n_trials")
        if type(self.n_trials) is not int or self.n_trials < 1:
            raise InputError(
                f"hydra.sweeper.n_trials={self.n_trials}: expected a whole number from 1"
            )
        metrics = config.get("optimized_metric")
        if metrics is None:
            raise InputError("optimized_metric=null: expected what to search for, e.g. val/acc")
        self.metrics = _listed(metrics)
        self.directions = _directions(options.get("direction"), self.metrics, config)
        self.pruner = _plain(options.get("pruner"))
        if self.pruner:
            _made("pruner", self.pruner)  # to check it: each job makes it again
        if "CmaEsSampler" in str(_plain(options["sampler"])):
            raise InputError(
                "hydra.sweeper.sampler: CmaEsSampler runs a pickle that it finds in the study; "
                "expected another, as hydra/sweeper/sampler=tpe or gp"
            )
        _made("sampler", options["sampler"])
        self.lost = 0  # how many trials have failed in this process
        self.running: dict[Job, Trial] = {}

    def run(self, arguments: Sequence[str]) -> None:
        params, when = _plain(self.options.get("params")), _plain(self.options.get("when"))
        self.space = study.space_of(params, when, for_jobs(arguments))
        self._open()
        self.sweep.begin()
        for folder in self.options.get("warm_start") or []:
            study.add_earlier(self.study, SweepFolder(folder), self.space, self.metrics)
        mine = self._mine()
        self.left = iter(mine)
        count = max(0, self.n_trials - len(self._counted())) + len(mine)
        self.sweep.run(self._next, self._ended, count)

    def _open(self) -> None:
        """Open the study. Raises InputError if it has other metrics or another space."""
        url = self.options.get("storage")
        raw: Any = OmegaConf.to_container(OmegaConf.select(self.config, "hydra.sweeper"))
        word = f"hydra.sweeper.storage={raw.get('storage')}"
        if without_passwords(word) != word:
            log.warning(
                "hydra.sweeper.storage has a password, which is not recorded; expected "
                "hydra.sweeper.storage='${oc.env:NAME}', with the address in that variable"
            )
        if not url:
            where = URL.create("sqlite", database=f"{self.folder}/study.db")
            url = where.render_as_string(hide_password=False)
        os.environ[STORAGE] = url
        name = self.options.get("study_name") or Path(self.folder).name
        self.storage, self.study = study.opened(url, name, self.directions)
        before = self.study.user_attrs.get(METRICS, self.metrics)
        if before != self.metrics:
            old, new = (flat(", ".join(map(str, names))) for names in (before, self.metrics))
            raise InputError(f"optimized_metric={new}: the study is of {old}; expected that")
        trials = self.study.get_trials(deepcopy=False)
        self.space.check([trial for trial in trials if trial.state in COUNTED])
        self.study.set_user_attr(METRICS, self.metrics)
        self.study.sampler = self._sampler(len(trials))

    def _sampler(self, trials: int) -> Any:
        """Return the sampler. Its seed grows with the study: the same seed would repeat trials."""
        options: Any = self.options["sampler"]
        if OmegaConf.select(options, "seed") is None:
            return _made("sampler", options)
        seed = int(options.seed) + trials
        if self.options.get("storage"):  # other sweeps may begin at the same time
            seed += zlib.crc32(self.folder.encode())
        return _made("sampler", options, seed=seed % 2**31)

    def _next(self) -> Job | None:
        """Return the next job, those of a killed sweep first; None once there are enough trials."""
        while trial := next(self.left, None) or self._ask():
            if job := self._job(trial):
                return job
        return None

    def _ask(self) -> Trial | None:
        """Return a new trial; None if there are enough, or its rank shows it is one too many."""
        while self._are_enough():
            if not self._are_unclaimed():
                return None
            time.sleep(0.5)
        if self.lost > self.n_trials:
            return None
        trial = self.study.ask()
        rank = [counted.number for counted in self._counted()].index(trial.number)
        if rank >= self.n_trials:
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        trial.set_user_attr(SWEEP, self.folder)  # before it chooses, which may take seconds
        return trial

    def _are_enough(self) -> bool:
        states = [trial.state for trial in self._counted()]
        return len(states) >= self.n_trials and TrialState.WAITING not in states

    def _counted(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False, states=COUNTED)
        return [trial for trial in trials if study.WARM not in trial.user_attrs]

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _mine(self) -> list[Trial]:
        """Return the trials that this sweep was running when it was killed. The sweep's folder is
        locked, so nobody else runs them. A trial that has not chosen its values yet will do so.
        """
        mine = [
            each.number for each in self._running() if each.user_attrs.get(SWEEP) == self.folder
        ]
        return [study.trial(self.storage, self.study, number) for number in mine]

    def _are_unclaimed(self) -> bool:
        """Whether there are trials that no sweep has claimed. A sweep that was killed before it
        could claim its trial never will, so such a trial is marked as failed after CLAIM_S.
        """
        unclaimed = [trial for trial in self._running() if SWEEP not in trial.user_attrs]
        for trial in unclaimed:
            begun = trial.datetime_start
            if begun and (datetime.now() - begun).total_seconds() > CLAIM_S:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        return bool(unclaimed)

    def _job(self, trial: Trial) -> Job | None:
        """Return the trial's job; None for invalid values. A retry uses its first try's folder."""
        try:
            words = self.space.words(trial)
        except InputError as error:
            log.warning("trial %d is not run: %s", trial.number, flat(str(error)))
            self._fail(trial)
            return None
        first = trial.user_attrs.get(RETRY_OF)
        number = first if type(first) is int and 0 <= first < trial.number else trial.number
        own = [word for word in words if word.partition("=")[0] in self.space.chosen]
        told = f"{trial.number} {self.study.study_name}"
        environment = ((TRIAL, told), (PRUNER, json.dumps(self.pruner)))
        place = self.sweep.place(number, own)
        job = Job(number, tuple(words), place, " ".join(own), environment)
        self.running[job] = trial
        return job

    def _ended(self, job: Job, status: Status) -> None:
        trial, was_pruned = self.running.pop(job), is_pruned(RunFolder(job.folder).measured())
        if status.status == STOPPED:
            return  # the trial goes on when the sweep does
        if status.status == FINISHED and was_pruned and len(self.metrics) == 1:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif status.status == FINISHED and status.objective is not None:
            self.study.tell(trial, status.objective)
        else:
            self._fail(trial)
            if status.status == KILLED and RETRY_OF not in trial.user_attrs:
                self.study.enqueue_trial(trial.params, {RETRY_OF: trial.number})

    def _fail(self, trial: Trial) -> None:
        self.lost += 1
        self.study.tell(trial, state=TrialState.FAIL)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _directions(given: Any, metrics: list[str], config: DictConfig) -> list[str]:
    """Return the directions `given`, else those of callbacks, else those that names imply."""
    if given is None:
        told = {"callbacks": _plain(config.get("callbacks"), resolve=False)}
        return [WAYS[not less_is_better(name, told)] for name in metrics]
    ways = _listed(given)
    if len(ways) != len(metrics) or not {*ways} <= {*WAYS}:
        raise InputError(
            f"hydra.sweeper.direction={given}: expected minimize or maximize for each of "
            + ", ".join(metrics)
        )
    return ways


def _made(name: str, options: Any, **more: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return instantiate(options, **more)
    except InstantiationException as error:
        reason = flat(str(error.__cause__ or error))
        raise InputError(f"hydra.sweeper.{name}: {reason}") from error


def _plain(value: Any, resolve: bool = True) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(OmegaConf.create(value or {}), resolve=resolve)
    return dict(plain)
