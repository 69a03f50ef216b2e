"""A search by Optuna: it asks for trials, has them run as a sweep's jobs, and tells the results.

Sweeps may share a study. Trials of one that was killed stay RUNNING in Optuna for ever: the sweep,
when it goes on, goes on with them.
"""

import json
import os
import time
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.runs.folder import RunFolder
from digits.runs.status import FINISHED, KILLED, STOPPED, Status, is_pruned
from digits.sweeps import search_options, space, warm_start
from digits.sweeps.folder import PRUNER, STORAGE, TRIAL, SweepFolder, for_jobs
from digits.sweeps.job import Job
from digits.sweeps.study import name_trial, opened
from digits.sweeps.warm_start import WARM

SWEEP, WORDS, RETRY_OF, SURPLUS = "sweep", "words", "retry_of", "surplus"
CLAIM_S = 10
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


class Search:
    """With the options of configs/hydra/sweeper/optuna.yaml; `sweep` runs jobs."""

    def __init__(self, options: dict[str, Any], config: DictConfig, sweep: Any) -> None:
        self.options, self.config, self.sweep = options, config, sweep
        folder: Path = sweep.folder.path
        self.folder = str(folder)
        storage = options.get("storage") or f"sqlite:///{folder / 'study.db'}"
        self.n_trials = search_options.n_trials(options.get("n_trials"))
        self.metrics = search_options.metrics(config.get("optimized_metric"))
        directions = search_options.directions(options.get("direction"), self.metrics)
        os.environ[STORAGE] = storage
        name = options.get("study_name") or folder.name
        self.pruner = search_options.plain(options.get("pruner"))
        if self.pruner:
            search_options.made("pruner", self.pruner)  # jobs make it again: is it right?
        self.study = opened(storage, name, directions)
        self.study.sampler = self._sampler()
        self.lost = 0  # trials that failed, in this process
        self.running: dict[Job, FrozenTrial] = {}

    def run(self, arguments: Sequence[str]) -> None:
        self.space = space.of(
            search_options.plain(self.options.get("params")),
            search_options.plain(self.options.get("when")),
            for_jobs(arguments),
        )
        self.sweep.begin()
        for folder in self.options.get("warm_start") or []:
            warm_start.add(self.study, SweepFolder(folder), self.space, self.metrics)
        mine = self._left()
        self.left = iter(mine)
        counted = sum(trial.state in COUNTED for trial in self._counted())
        self.sweep.run(self._next, self._ended, max(0, self.n_trials - counted) + len(mine))

    def _sampler(self) -> Any:
        """Its seed moves on with the study: the same numbers again would be the same trials."""
        options: Any = self.options["sampler"]
        if OmegaConf.select(options, "seed") is None:
            return search_options.made("sampler", options)
        seed = int(options.seed) + len(self.study.get_trials(deepcopy=False))
        if self.options.get("storage"):  # others may begin at the same time
            seed += zlib.crc32(self.folder.encode())
        return search_options.made("sampler", options, seed=seed % 2**31)

    def _next(self) -> Job | None:
        """Those of a killed sweep first."""
        if trial := next(self.left, None):
            return self._job(trial, trial.user_attrs[WORDS])
        asked = self._ask() if self.lost <= self.n_trials else None
        return self._job(*asked) if asked else None

    def _ask(self) -> tuple[FrozenTrial, list[str]] | None:
        """None once there are enough. Who asks at the same time sees it by the trial's rank."""
        while self._are_enough():
            if not self._are_unclaimed():
                return None
            time.sleep(0.5)
        trial = self.study.ask()
        rank = [t.number for t in self._counted() if t.state in COUNTED].index(trial.number)
        if rank >= self.n_trials:
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        trial.set_user_attr(SWEEP, self.folder)  # first: choosing may take seconds
        self._choose(trial)
        chosen = self.study.get_trials(deepcopy=False)[trial.number]
        return chosen, chosen.user_attrs[WORDS]

    def _choose(self, trial: Trial) -> None:
        trial.set_user_attr(WORDS, self.space.words(trial))

    def _are_enough(self) -> bool:
        states = [trial.state for trial in self._counted() if trial.state in COUNTED]
        return len(states) >= self.n_trials and TrialState.WAITING not in states

    def _counted(self) -> list[FrozenTrial]:
        return [t for t in self.study.get_trials(deepcopy=False) if WARM not in t.user_attrs]

    def _left(self) -> list[FrozenTrial]:
        """Under way in this sweep when it was killed: its folder is locked, nobody else runs them.
        One that had not chosen yet, chooses.
        """
        for trial in self._mine():
            if WORDS not in trial.user_attrs:
                self._choose(Trial(self.study, trial._trial_id))
        return self._mine()

    def _mine(self) -> list[FrozenTrial]:
        running = self.study.get_trials(states=(TrialState.RUNNING,))
        return [trial for trial in running if trial.user_attrs.get(SWEEP) == self.folder]

    def _are_unclaimed(self) -> bool:
        """Whether there are trials that no sweep has said are its own. A sweep that was killed
        between asking and saying so never will: after a while they have failed.
        """
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        unclaimed = [trial for trial in running if SWEEP not in trial.user_attrs]
        for trial in unclaimed:
            begun = trial.datetime_start
            if begun and (datetime.now() - begun).total_seconds() > CLAIM_S:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        return bool(unclaimed)

    def _job(self, trial: FrozenTrial, words: Sequence[str]) -> Job:
        """A second try goes on in the folder of the first."""
        number = trial.user_attrs.get(RETRY_OF, trial.number)
        names = set(self.space.chosen)
        label = " ".join(word for word in words if word.partition("=")[0] in names)
        told = (
            (TRIAL, name_trial(self.study.study_name, trial)),
            (PRUNER, json.dumps(self.pruner)),
        )
        job = Job(number, tuple(words), Path(self.folder) / str(number), label, told)
        self.running[job] = trial
        return job

    def _ended(self, job: Job, status: Status) -> None:
        trial = self.running.pop(job)
        if status.status == STOPPED:
            return  # it goes on with the sweep
        if (
            status.status == FINISHED
            and is_pruned(RunFolder(job.folder).measured())
            and len(self.metrics) == 1
        ):
            self.study.tell(trial.number, state=TrialState.PRUNED)
        elif status.status == FINISHED and status.objective is not None:
            self.study.tell(trial.number, status.objective)
        else:
            self.lost += 1
            self.study.tell(trial.number, state=TrialState.FAIL)
            if status.status == KILLED and RETRY_OF not in trial.user_attrs:
                self.study.enqueue_trial(trial.params, {RETRY_OF: trial.number})
