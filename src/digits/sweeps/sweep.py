"""A sweep from its first job to its leaderboard, in one folder. Finished jobs are not run again,
and a job that fails costs one line.
"""

import inspect
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf, open_dict

from digits import signals
from digits.errors import FULL_ERROR, InputError
from digits.files import called, relative, write_atomically
from digits.machine import cores
from digits.runs import configs, recorded
from digits.runs.folder import RunFolder
from digits.runs.status import DIVERGED, FINISHED
from digits.runs.words import Words, key, own, quoted
from digits.sweeps import leaderboard, table
from digits.sweeps.job import Job, name_of, to_begin_or_go_on
from digits.sweeps.leaderboard import Leaderboard
from digits.sweeps.pool import Ended, Forks, Launch, OneAfterTheOther, Pool
from digits.sweeps.sweep_folder import TESTS, SweepFolder, for_jobs, identity
from digits.text import shown, without_passwords

log = logging.getLogger(__name__)

NOT_FOR_JOBS = ("hydra.mode", "hydra.run.", "hydra.sweep", "hydra.launcher", "hydra/launcher",
                "hydra/sweeper")  # fmt: skip
BY_NUMBER = "${hydra.job.num}"  # the default of hydra.sweep.subdir


class Sweep:
    """Runs the sweep of `task` that `config` describes; `launcher` is ours or Hydra's basic one."""

    def __init__(self, config: DictConfig, context: Any, task: Any, launcher: Any) -> None:
        self.config, self.loader, self.launcher = config, context.config_loader, launcher
        self.program = Path(inspect.getfile(inspect.unwrap(task))).stem
        self.typed = Words.parse(sys.argv[1:])
        self.words = own(self.typed.overrides)
        self.folder = SweepFolder(config.hydra.sweep.dir)
        self.names = self.folder.planned() if config.get("sweep") else {}  # job's name: its words
        self.chooses = True  # a sweep over seeds alone does not choose among settings
        self.code = 0  # the worst exit code of its jobs

    def run_all(self, each: Sequence[Sequence[str]]) -> None:
        """Run a job for each list of words."""
        if not each:
            empty = " ".join(word for word in self.words if "(" in word)
            raise InputError(f"{empty}: no job to run; expected at least one value")
        replicates = self.config.get("replicates") or ["seed"]
        settings = {tuple(w for w in words if key(w) not in replicates) for words in each}
        self.chooses = len(settings) > 1
        with self.around():
            jobs = self._planned(each)
            self.begin()
            left = [job for job in jobs if not _is_over(job)]
            if done := len(jobs) - len(left):
                log.info("%d of %d jobs are finished already", done, len(jobs))
            waiting = iter(left)
            # they share the cores as if none had finished: other threads may give other bits
            self.run(lambda: next(waiting, None), lambda *_: None, len(jobs), done)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Lock the folder for the block, then show the leaderboard. Raises SystemExit if jobs have
        failed.
        """
        self.folder.path.mkdir(parents=True, exist_ok=True)
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        with RunFolder(self.folder.path).held():
            try:
                yield
            except signals.Stopped as stopped:
                if self.folder.file.is_file():
                    stopped.is_said = True
                    show(self.folder)
                    print(self._how_to_go_on(), file=sys.stderr)
                raise
            tests = "test=true" in self.words and self.chooses
            show(self.folder, self.work if tests else None)
        if self.code:
            raise SystemExit(self.code)

    def begin(self) -> None:
        """Write the plan of the sweep, and Hydra's record of it."""
        self.folder.write(self.words, self.names)
        text = without_passwords(OmegaConf.to_yaml(self.config))
        write_atomically(self.folder.path / "multirun.yaml", text.encode())

    def run(
        self,
        next_job: Callable[[], Job | None],
        ended: Ended,
        count: int | None = None,
        done: int = 0,
    ) -> None:
        """Run jobs in the launcher's pool; see Launch.run."""
        launch = Launch(self._pool(count), bool(self.config.get("fail_fast")))
        try:
            launch.run(next_job, ended, count, done)
        finally:
            self.code = launch.code

    def place(self, number: int, words: Sequence[str]) -> Path:
        """Return the folder of the job with this number, whose own words are `words`."""
        before = self.folder.path / str(number)  # in older sweeps a folder's name was its number
        return self.folder.inside(before.name if before.is_dir() else name_of(number, 1, words))

    def work(
        self, job: Job, threads: int | None, environment: Mapping[str, str], is_here: bool = True
    ) -> Job:
        """Return the job as its own process runs it. A job on another machine has that machine's
        environment: this one's may have secrets, which must not get into files or other programs.
        """
        inherited = {**os.environ} if is_here else {}
        inherited.pop(FULL_ERROR, None)
        hydras = map(str, self.config.hydra.overrides.hydra)
        kept = [word for word in hydras if not key(word).startswith(NOT_FOR_JOBS)]
        return replace(
            job,
            words=(*kept, *self._words_of(job)),
            environment=tuple({**inherited, **environment, **dict(job.environment)}.items()),
            program=self.program,
            flags=tuple(self.typed.flag_words("config_")),
            threads=threads,
            current=os.getcwd(),
        )

    def _planned(self, each: Sequence[Sequence[str]]) -> list[Job]:
        """Return the jobs, those that exist in their folders, new ones with the next numbers. A
        job's name has the words that it does not share with all others.
        """
        known = self.folder.known() if self.config.get("sweep") else {}
        taken = {int(n) for name in known.values() if (n := name.partition("_")[0]).isdecimal()}
        shared = set.intersection(*map(set, each)) if len(each) > 1 else set()
        number, jobs = 0, []
        for words in each:
            differing = [w for w in own(words) if w not in shared]
            name = known.get(identity(words))
            if name is None:
                while number in taken:
                    number += 1
                told = differing if len(each) > 1 else []
                name = self._new_name(words, number, len(each), told)
                known[identity(words)] = name
                taken.add(number)
                self.names[name] = for_jobs(words)
            begins = name.partition("_")[0]
            job = Job(
                int(begins) if begins.isdecimal() else number,
                tuple(for_jobs(words)),
                self.folder.inside(name),
                " ".join(differing),
            )
            jobs.append(job)
        return self._with_folders_of_their_own(jobs)

    def _with_folders_of_their_own(self, jobs: list[Job]) -> list[Job]:
        """Raises InputError if hydra.sweep.subdir gives different jobs the same folder."""
        first: dict[Path, Job] = {}
        for job in jobs:
            other = first.setdefault(job.folder, job)
            if other is not job and other.words != job.words:
                where = f"hydra.sweep.subdir={self.folder.name(RunFolder(job.folder))}"
                raise InputError(f"{where}: of {other} and of {job}; expected a folder of each")
        return list(first.values())

    def _new_name(self, words: Sequence[str], number: int, count: int, told: list[str]) -> str:
        raw = OmegaConf.to_container(self.config.hydra.sweep, resolve=False)
        assert isinstance(raw, dict)
        if raw["subdir"] == BY_NUMBER:
            return name_of(number, count, told)
        config = self.loader.load_sweep_config(self.config, list(words))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        with configs.known_to_hydra(config):
            name = str(OmegaConf.select(config, "hydra.sweep.subdir"))
        if not name.strip():
            raise InputError(f"hydra.sweep.subdir={name}: expected a folder")
        return name

    def _pool(self, count: int | None) -> Pool:
        if make := getattr(self.launcher, "pool", None):
            pool: Pool = make(self.work, count)
            return pool
        return OneAfterTheOther(self.launcher, self._placed)

    def _placed(self, job: Job) -> list[str]:
        run = RunFolder(job.folder)
        words = to_begin_or_go_on(run, self._words_of(job))
        if "resume" in map(key, words):
            words.append("hydra.output_subdir=null")
        return [*words, f"hydra.sweep.subdir={quoted(self.folder.name(run))}"]

    def _words_of(self, job: Job) -> list[str]:
        """Return the job's words; a sweep that chooses among settings adds test=false."""
        if not (self.config.get("train") and self.chooses):
            return list(job.words)
        return [*(word for word in job.words if key(word) != "test"), "test=false"]

    def _how_to_go_on(self) -> str:
        words = recorded.not_taken(self.words, self.folder.path)
        again = [shlex.quote(shown(without_passwords(word))) for word in words]
        again += [f"--config-dir={shlex.quote(folder)}" for folder in self.typed.config_dirs()]
        where = shlex.quote(shown(relative(self.folder.path)))
        return " ".join([f"stopped; go on with {called('train')} -m sweep={where}", *again])


def grid(arguments: Sequence[str], params: Mapping[str, Any], loader: Any) -> list[tuple[str, ...]]:
    """Return the words of each combination of the values in `params` and `arguments`."""
    lists = {}
    given = [*(f"{name}={value}" for name, value in params.items()), *arguments]
    for override in OverridesParser.create(config_loader=loader).parse_overrides(given):
        name = override.get_key_element()
        if override.is_interval_sweep():
            raise InputError(
                f"{override.input_line}: an interval has no end of values; expected "
                "hydra/sweeper=optuna too, or a list of values"
            )
        if override.is_sweep_override():
            lists[name] = [f"{name}={value}" for value in override.sweep_string_iterator()]
        elif override.is_delete():
            lists[name] = [str(override.input_line)]
        else:
            lists[name] = [f"{name}={override.get_value_element_as_str()}"]
    return list(product(*lists.values()))


def _is_over(job: Job) -> bool:
    """Whether the job has ended in a way that the same job would again."""
    status = RunFolder(job.folder).status()
    return status is not None and status.status in (FINISHED, DIVERGED)


def show(sweep: SweepFolder, work: Callable[..., Job] | None = None) -> None:
    """Print the leaderboard of the jobs that have begun, if any. With `work`, test the winner."""
    if not any(sweep.runs()):
        return
    if work:
        _test(leaderboard.read(sweep), work)
    log.info("\n%s", table.write(sweep))


def _test(board: Leaderboard, work: Callable[..., Job]) -> None:
    """Test each replicate of the best setting on the test images."""
    jobs: list[Job] = []
    for job in board.winner.counted if board.winner else ():
        ckpt, folder = job.run.judged, board.sweep.path / TESTS / job.name
        told = board.sweep.tested(job.name)
        if ckpt.is_file() and not any(name.startswith("test") for name in told):
            jobs.append(Job(len(jobs), (f"ckpt_path={quoted(ckpt)}",), folder))

    def evaluated(job: Job, _: object) -> Job:
        return replace(work(job, cores(), {}), program="eval", words=job.words)

    left = iter(jobs)
    if jobs:
        Launch(Forks(1, evaluated), False).run(lambda: next(left, None), lambda *_: None, len(jobs))
