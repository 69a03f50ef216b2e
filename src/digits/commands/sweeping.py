"""Between a sweeper of Hydra's and its launcher: one folder, jobs that are done are not run again,
one that fails is one line, and the leaderboard comes at the end.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from digits.commands import sweep_words
from digits.errors import InputError, exit_code, one_line
from digits.runs.folder import DIVERGED, FINISHED, RunFolder
from digits.runs.overrides import is_of_folder, key, quoted
from digits.sweeps import ending
from digits.sweeps.child import Work, to_begin_or_go_on
from digits.sweeps.folder import SweepFolder, identity
from digits.sweeps.launch import Job, Launch, Outcome, Pool

log = logging.getLogger(__name__)

BASIC = "hydra._internal.core_plugins.basic_launcher"
STOPPED = 130  # as a shell has it for Ctrl+C
BY_NUMBER = "${hydra.job.num}"
NOT_FOR_JOBS = ("hydra.mode", "hydra.run.", "hydra.sweep", "hydra.launcher", "hydra/launcher",
                "hydra/sweeper")  # fmt: skip


class JobFailedError(Exception):
    """A job did, and has said why."""


class Sweep:
    """The sweep that `config` asks for; `given` is its command line."""

    def __init__(self, name: str, config: DictConfig, given: Sequence[str]) -> None:
        self.name, self.config, self.given = name, config, given
        self.codes: list[int] = []  # of the jobs that failed
        self.count = 0  # of jobs, run or finished before
        self.folder = SweepFolder(os.path.abspath(config.hydra.sweep.dir))
        self.words = sweep_words.of_the_sweep(given)
        with read_write(config), open_dict(config):
            config.hydra.sweep.dir = str(self.folder.path)
        where = f"hydra.sweep.dir={quoted(self.folder.path)}"  # for jobs, which compose anew
        config.hydra.overrides.hydra.append(where)
        self.known = self.folder.known() if config.get("sweep") else {}
        self.planned = self.folder.planned()
        self.trains = bool(config.get("train"))

    def guide(self, sweeper: Sweeper) -> Sweeper:
        """Take the place of its launcher, and stand around it."""
        self.is_grid = _is(sweeper, "BasicSweeper")
        self.sweeper = plugin = cast(Any, sweeper)
        self.launcher: Any = plugin.launcher
        plugin.launcher = self
        if self.is_grid:  # each job composes its settings again, and says what is wrong
            plugin.validate_batch_is_legal = _nothing
        sweep = sweeper.sweep

        def held(arguments: list[str]) -> Any:
            self.folder.path.mkdir(parents=True, exist_ok=True)
            with RunFolder(self.folder.path).held():
                try:
                    result = sweep(arguments)
                except KeyboardInterrupt:
                    self._end()
                    how = sweep_words.how_to_go_on(self.folder, self.words, self.given)
                    print(how, file=sys.stderr)
                    raise
                self._end()
                return result

        plugin.sweep = held
        return sweeper

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """As a launcher does."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        shared = set.intersection(*map(set, job_overrides)) if len(job_overrides) > 1 else set()
        jobs = [
            self.job(words, initial_job_idx + i, shared) for i, words in enumerate(job_overrides)
        ]
        self.begin()
        results = {job: _of_before(job) for job in jobs if is_over(job)}
        if results:
            log.info("%d of %d jobs are finished already", len(results), len(jobs))
        self.count += len(results)
        results |= self._refused(jobs)
        left = [job for job in jobs if job not in results]
        for job in left:  # so that a job that nobody came to start is no success
            results[job] = _returned(job, JobFailedError("not started"))
        waiting = iter(left)

        def ended(outcome: Outcome) -> None:
            results[outcome.job] = _result(outcome)

        self.run(lambda: next(waiting, None), ended, len(left))
        if self.is_grid:
            for result in results.values():  # the sweeper goes on
                if result.status is JobStatus.FAILED:
                    result.status, result._return_value = JobStatus.COMPLETED, None
        return [results[job] for job in jobs]

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
                refused[job] = _returned(job, error)
        return refused

    def run(
        self,
        next_job: Callable[[], Job | None],
        ended: Callable[[Outcome], object],
        count: int | None = None,
    ) -> None:
        """Run jobs in the launcher's pool; see Launch.run."""
        pool = self.pool(count)
        launch = Launch(pool, bool(self.config.get("fail_fast")))
        try:
            launch.run(next_job, ended, count)
        finally:
            self.codes += launch.codes
            self.count += launch.started

    def pool(self, count: int | None) -> Pool:
        if make := getattr(self.launcher, "pool", None):
            made: Pool | None = make(self.work, count)
            if made:
                return made
            self.launcher = self._basic(self.launcher)
        return Here(self) if _is(self.launcher, "BasicLauncher") else Elsewhere(self)

    def begin(self) -> None:
        """Write down what is to be done."""
        self.folder.write(self.words, self.planned)

    def job(self, words: Sequence[str], number: int, shared: Set[str] = frozenset()) -> Job:
        """Where it is already or, if it is new, where it will be. It is called by its words, but
        those that others `shared`.
        """
        label = " ".join(word for word in words if word not in shared and not is_of_folder(word))
        words = tuple(word for word in words if key(word) not in ("sweep", "fail_fast"))
        own = identity(words)
        name = self.known.get(own)
        if name is None:
            name = self._new_name(words, number)
            self.known[own] = name
            self.planned[name] = list(words)
        number = int(name) if name.isdecimal() else number
        return Job(number, words, self.folder.path / name, label)

    def words_of(self, job: Job) -> list[str]:
        """All it is told: its own, and not to look at the test set, where a sweep chooses."""
        chooses = self.trains and self._chooses()
        return [*(w for w in job.words if not (chooses and key(w) == "test")),
                *(["test=false"] if chooses else [])]  # fmt: skip

    def work(
        self, job: Job, threads: int | None, environment: Mapping[str, str], is_here: bool = True
    ) -> Work:
        """For a process of its own. One that is not here has its machine's environment: this one's
        secrets stay out of files and other programs' hands.
        """
        inherited = os.environ if is_here else {}
        hydras = OmegaConf.to_container(self.config.hydra.overrides.hydra)
        assert isinstance(hydras, list)
        kept = [str(word) for word in hydras if not key(str(word)).startswith(NOT_FOR_JOBS)]
        return Work(
            self.name,
            tuple(sweep_words.flags_for_jobs(self.given)),
            (*kept, *self.words_of(job)),
            job.number,
            str(job.folder),
            os.getcwd(),
            threads,
            tuple({**inherited, **environment, **dict(job.environment)}.items()),
        )

    def _new_name(self, words: Sequence[str], number: int) -> str:
        raw = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        assert isinstance(raw, dict)
        if raw["subdir"] != BY_NUMBER:
            return self._name_told(words, number)
        taken = set(self.known.values())
        while str(number) in taken:
            number += 1
        return str(number)

    def _name_told(self, words: Sequence[str], number: int) -> str:
        """By hydra.sweep.subdir, for which the job's settings must be known."""
        loader = self.sweeper.hydra_context.config_loader
        before = HydraConfig.instance().cfg
        config = loader.load_sweep_config(self.config, list(words))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        try:
            HydraConfig.instance().cfg = config
            name = str(OmegaConf.select(config, "hydra.sweep.subdir"))
        finally:
            HydraConfig.instance().cfg = before
        if not name.strip():
            raise InputError(f"hydra.sweep.subdir={name}: expected a folder")
        return name

    def _chooses(self) -> bool:
        """Among settings: a sweep over seeds alone has nothing to choose."""
        if not self.is_grid:
            return True
        jobs = [words for batch in self.sweeper.overrides for words in batch]
        return len({tuple(word for word in words if key(word) != "seed") for words in jobs}) > 1

    def _basic(self, other: Any) -> BasicLauncher:
        """With what `other` was set up with."""
        basic = BasicLauncher()
        basic.setup(hydra_context=other.context, task_function=other.task, config=self.config)
        return basic

    def _end(self) -> None:
        tests = "test=true" in self.words and self._chooses()
        ending.show(self.folder, self.work if tests else None)


class Here:
    """One job after the other in this process, by Hydra's own launcher."""

    slots, speaks = 1, True

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.jobs: list[Job] = []
        self.is_stopped = False

    def start(self, job: Job) -> None:
        self.jobs = [job]

    def wait(self) -> tuple[Job, int]:
        (job,) = self.jobs
        if self.is_stopped:
            return job, STOPPED
        os.environ.update(job.environment)
        try:
            with _quiet(logging.getLogger(BASIC)):
                (result,) = self.sweep.launcher.launch([_placed(self.sweep, job)], job.number)
            _ = result.return_value
        except Exception as error:
            _record(job, error)
            return job, exit_code(error)
        return job, 0

    def stop(self) -> None:
        """The signal has stopped it."""
        self.is_stopped = True


class Elsewhere:
    """All jobs at once, by a launcher that we know nothing of."""

    slots, speaks = sys.maxsize, True

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.jobs: list[Job] = []
        self.results: list[tuple[Job, int]] = []
        self.is_stopped = False

    def start(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> tuple[Job, int]:
        if self.is_stopped and self.jobs:
            return self.jobs.pop(), STOPPED
        if not self.results:
            words = [_placed(self.sweep, job) for job in self.jobs]
            for job, result in zip(
                self.jobs, self.sweep.launcher.launch(words, self.jobs[0].number), strict=True
            ):
                self.results.append((job, _code(result)))
            self.jobs.clear()
        return self.results.pop(0)

    def stop(self) -> None:
        self.is_stopped = True


def is_over(job: Job) -> bool:
    """With a result that the same job would have again."""
    status = RunFolder(job.folder).status()
    return status is not None and status.status in (FINISHED, DIVERGED)


def _placed(sweep: Sweep, job: Job) -> list[str]:
    run = RunFolder(job.folder)
    words = to_begin_or_go_on(run, sweep.words_of(job))
    if "resume" in map(key, words):
        words.append("hydra.output_subdir=null")
    return [*words, f"hydra.sweep.subdir={quoted(sweep.folder.name(run))}"]


def _code(result: JobReturn | None) -> int:
    if result is None:
        return 1
    try:
        _ = result.return_value
    except Exception as error:
        return exit_code(error)
    return 0


def _record(job: Job, error: Exception) -> None:
    """Of a job that was refused before it could."""
    run = RunFolder(job.folder)
    if run.status() is None:
        print(f"error: {job}: {one_line(error)}", file=sys.stderr)
        run.path.mkdir(parents=True, exist_ok=True)
        run.begin()
        run.end(error)


def _returned(job: Job, value: Any) -> JobReturn:
    failed = isinstance(value, Exception)
    status = JobStatus.FAILED if failed else JobStatus.COMPLETED
    return JobReturn(overrides=list(job.words), status=status, _return_value=value)


def _of_before(job: Job) -> JobReturn:
    status = RunFolder(job.folder).status()
    assert status is not None
    return _returned(
        job, JobFailedError(status.error) if status.status == DIVERGED else status.objective
    )


def _result(outcome: Outcome) -> JobReturn:
    if outcome.status.status == FINISHED:
        return _returned(outcome.job, outcome.objective)
    return _returned(outcome.job, JobFailedError(outcome.status.error or outcome.status.status))


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """It would tell of one job each time."""

    def tells_more(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Launching 1 jobs")

    logger.addFilter(tells_more)
    try:
        yield
    finally:
        logger.removeFilter(tells_more)


def _is(plugin: object, name: str) -> bool:
    """Hydra's own, which it imports anew as it looks for plugins: it has two classes of a name."""
    kind = type(plugin)
    return kind.__name__ == name and kind.__module__.startswith("hydra._internal.")


def _nothing(*_: object) -> None:
    pass
