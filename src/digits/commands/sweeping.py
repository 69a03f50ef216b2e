"""Between a sweeper of Hydra's and its launcher: one folder, jobs that are done are not run again,
one that fails is one line, and the leaderboard comes at the end.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, open_dict, read_write

from digits.commands import sweep_words
from digits.commands.hydra_pools import Elsewhere, Here
from digits.commands.hydra_results import JobFailedError, of_before, result_of, returned
from digits.commands.sweep_plan import Plan
from digits.errors import InputError, exit_code
from digits.runs.folder import DIVERGED, FINISHED, RunFolder
from digits.runs.overrides import key, quoted
from digits.sweeps import ending
from digits.sweeps.child import Work, to_begin_or_go_on
from digits.sweeps.folder import SweepFolder
from digits.sweeps.launch import Job, Launch, Outcome, Pool

log = logging.getLogger(__name__)

NOT_FOR_JOBS = ("hydra.mode", "hydra.run.", "hydra.sweep", "hydra.launcher", "hydra/launcher",
                "hydra/sweeper")  # fmt: skip


class Sweep:
    """The sweep that `config` asks for; `given` is its command line."""

    def __init__(self, name: str, config: DictConfig, given: Sequence[str]) -> None:
        self.name, self.config, self.given = name, config, given
        self.codes: list[int] = []  # of the jobs that failed
        self.count = 0  # of jobs, run or finished before
        self.folder = SweepFolder(os.path.abspath(config.hydra.sweep.dir))
        self.words = sweep_words.of_the_sweep(given)
        self.trains = bool(config.get("train"))
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = str(self.folder.path)
        where = f"hydra.sweep.dir={quoted(self.folder.path)}"  # for jobs, which compose anew
        config.hydra.overrides.hydra.append(where)
        self.plan = Plan(self.folder, config, goes_on=bool(config.get("sweep")))

    def guide(self, sweeper: Sweeper) -> Sweeper:
        """Take the place of its launcher, and stand around it."""
        self.sweeper = plugin = cast(Any, sweeper)
        self.launcher: Any = plugin.launcher
        self.is_grid = _is(sweeper, "BasicSweeper")
        if self.is_grid:  # each job composes its settings again, and says what is wrong
            plugin.validate_batch_is_legal = _nothing
        sweep = plugin.sweep
        plugin.launcher = self
        plugin.sweep = lambda arguments: self._around(sweep, arguments)
        return sweeper

    def _around(self, sweep: Callable[[list[str]], Any], arguments: list[str]) -> Any:
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with RunFolder(self.folder.path).held():
            try:
                result = sweep(arguments)
            except KeyboardInterrupt:
                ending.show(self.folder)
                how = sweep_words.how_to_go_on(self.folder, self.words, self.given)
                print(how, file=sys.stderr)
                raise
            except InputError:
                with suppress(OSError):  # something is in it
                    self.folder.path.rmdir()
                raise
            tests = "test=true" in self.words and self._chooses()
            ending.show(self.folder, self.work if tests else None)
            return result

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """As a launcher does."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        loader = self.sweeper.hydra_context.config_loader
        jobs = self.plan.jobs(job_overrides, initial_job_idx, loader)
        self.begin()
        results = {job: of_before(job) for job in jobs if _is_over(job)}
        if results:
            log.info("%d of %d jobs are finished already", len(results), len(jobs))
        self.count += len(results)
        results |= self._refused(jobs)
        left = [job for job in jobs if job not in results]
        for job in left:  # so that a job that nobody came to start is no success
            results[job] = returned(job, JobFailedError("not started"))
        waiting = iter(left)

        def ended(outcome: Outcome) -> None:
            results[outcome.job] = result_of(outcome)

        self.run(lambda: next(waiting, None), ended, len(left))
        if self.is_grid:
            for result in results.values():  # the sweeper goes on
                if result.status is JobStatus.FAILED:
                    result.status, result._return_value = JobStatus.COMPLETED, None
        return [results[job] for job in jobs]

    def run(
        self,
        next_job: Callable[[], Job | None],
        ended: Callable[[Outcome], object],
        count: int | None = None,
    ) -> None:
        """Run jobs in the launcher's pool; see Launch.run."""
        launch = Launch(self._pool(count), bool(self.config.get("fail_fast")))
        try:
            launch.run(next_job, ended, count)
        finally:
            self.codes += launch.codes
            self.count += launch.started

    def begin(self) -> None:
        """Write down what is to be done."""
        self.folder.write(self.words, self.plan.names)

    def work(
        self, job: Job, threads: int | None, environment: Mapping[str, str], is_here: bool = True
    ) -> Work:
        """For a process of its own. One that is not here has its machine's environment: this one's
        secrets stay out of files and other programs' hands.
        """
        inherited = os.environ if is_here else {}
        hydras = map(str, self.config.hydra.overrides.hydra)
        kept = [word for word in hydras if not key(word).startswith(NOT_FOR_JOBS)]
        return Work(
            self.name,
            tuple(sweep_words.flags_for_jobs(self.given)),
            (*kept, *self._words_of(job)),
            job.number,
            str(job.folder),
            os.getcwd(),
            threads,
            tuple({**inherited, **environment, **dict(job.environment)}.items()),
        )

    def _refused(self, jobs: Sequence[Job]) -> dict[Job, JobReturn]:
        """Those that would write into the folder of one before."""
        first: dict[Path, Job] = {}
        refused = {}
        for job in jobs:
            if first.setdefault(job.folder, job) != job:
                where = f"hydra.sweep.subdir={self.folder.name(RunFolder(job.folder))}"
                error = InputError(f"{where}: a run is there already; expected a new folder")
                print(f"error: {job}: {error}", file=sys.stderr)
                self.codes.append(exit_code(error))
                refused[job] = returned(job, error)
        return refused

    def _pool(self, count: int | None) -> Pool:
        launcher = self.launcher
        if make := getattr(launcher, "pool", None):
            pool: Pool | None = make(self.work, count)
            if pool:
                return pool
            task, context = launcher.task, launcher.context
            launcher = BasicLauncher()
            launcher.setup(task_function=task, hydra_context=context, config=self.config)
        return (Here if _is(launcher, "BasicLauncher") else Elsewhere)(launcher, self._placed)

    def _placed(self, job: Job) -> list[str]:
        run = RunFolder(job.folder)
        words = to_begin_or_go_on(run, self._words_of(job))
        if "resume" in map(key, words):
            words.append("hydra.output_subdir=null")
        return [*words, f"hydra.sweep.subdir={quoted(self.folder.name(run))}"]

    def _words_of(self, job: Job) -> list[str]:
        """All it is told: its own, and not to look at the test set, where a sweep chooses."""
        if not (self.trains and self._chooses()):
            return list(job.words)
        return [*(word for word in job.words if key(word) != "test"), "test=false"]

    def _chooses(self) -> bool:
        """Among settings: a sweep over seeds alone has nothing to choose."""
        if not self.is_grid:
            return True
        jobs = [words for batch in self.sweeper.overrides for words in batch]
        return len({tuple(word for word in words if key(word) != "seed") for words in jobs}) > 1


def _is_over(job: Job) -> bool:
    """With a result that the same job would have again."""
    status = RunFolder(job.folder).status()
    return status is not None and status.status in (FINISHED, DIVERGED)


def _is(plugin: object, name: str) -> bool:
    """Hydra's own, which it imports anew as it looks for plugins: it has two classes of a name."""
    kind = type(plugin)
    return kind.__name__ == name and kind.__module__.startswith("hydra._internal.")


def _nothing(*_: object) -> None:
    pass
