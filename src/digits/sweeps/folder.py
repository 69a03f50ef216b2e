"""A sweep's folder: the words it was started with, and the folders of its jobs."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

from digits.errors import InputError, flat, shown
from digits.files import read_json, write_atomically
from digits.runs import recorded
from digits.runs.folder import SWEEP, RunFolder
from digits.runs.words import OF_THE_FOLDER, key

NAME = SWEEP
OUTPUT = "output.log"  # what a job elsewhere prints, in its folder
STORAGE = "DIGITS_STUDY_STORAGE"  # of a job's environment: its study's database
TRIAL = "DIGITS_TRIAL"  # its study, and its id there
PRUNER = "DIGITS_PRUNER"  # JSON of the pruner's settings
TESTS = "test"  # a folder in it: of the winner's tests
OF_THE_SWEEP = ("test",)  # what a sweep decides for its jobs
LARGEST = 1 << 26  # bytes of sweep.json: 100,000 jobs have 20 MB

Identity = tuple[str, ...]


def identity(words: Iterable[str]) -> Identity:
    """What a job is known by: its overrides, sorted, without those that say where it is."""
    own = (word for word in words if key(word) not in (*OF_THE_FOLDER, *OF_THE_SWEEP))
    return tuple(sorted(own))


def for_jobs(words: Iterable[str]) -> list[str]:
    """Without those that only the sweep itself reads."""
    return [word for word in words if key(word) not in ("sweep", "fail_fast")]


class SweepFolder:
    """The folder at `path`, which need not exist."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.file = self.path / NAME
        self.leaderboard_csv = self.path / "leaderboard.csv"
        self.page = self.path / "sweep.html"

    def words(self) -> list[str]:
        """What it was started with. Raises InputError if it is no sweep's folder."""
        return self._words("words")

    def planned(self) -> dict[str, list[str]]:
        """The overrides of the jobs it was to run, by folder, as far as they are known. Raises
        InputError for a folder elsewhere.
        """
        jobs = read_json(self.file, LARGEST).get("jobs")
        if not _is_plan(jobs):
            return {}
        for name in jobs:
            self.inside(name)
        return jobs

    def inside(self, name: str) -> Path:
        """The folder of the job `name`. Raises InputError for one that is not in the sweep's: jobs
        write there, and remove what is half done.
        """
        path, parts = self.path / name, Path(name).parts
        stays = bool(parts) and ".." not in parts and not Path(name).is_absolute()
        if not stays or not name.isprintable() or not recorded.is_within(self.path, path):
            raise InputError(f"{self.file}: job {shown(name)}: expected a name inside its folder")
        return path

    def write(self, words: Sequence[str], planned: dict[str, list[str]]) -> None:
        text = json.dumps({"words": list(words), "jobs": planned}, indent=1)
        write_atomically(self.file, f"{text}\n".encode())

    def runs(self) -> Iterator[RunFolder]:
        """The jobs that have begun, sorted by name, numbers as numbers."""
        found = []
        for parent, inside, here in os.walk(self.path):
            path = Path(parent)
            is_run = path != self.path and (".hydra" in inside or "status.json" in here)
            if is_run:
                found.append(path)
            inside[:] = (
                [] if is_run else [n for n in inside if not n.startswith(".") and n != TESTS]
            )
        for path in sorted(found, key=lambda path: _in_order(self.name(RunFolder(path)))):
            yield RunFolder(path)

    def name(self, run: RunFolder) -> str:
        return run.path.relative_to(self.path).as_posix()

    def known(self) -> dict[Identity, str]:
        """The names of the folders that jobs have already."""
        names = {}
        planned = self.planned()
        for run in self.runs():
            name = self.name(run)
            try:
                names[identity(planned.get(name) or recorded.words(run))] = name
            except InputError:  # killed before it had written them
                continue
        return {identity(words): name for name, words in planned.items()} | names

    def _words(self, name: str) -> list[str]:
        words = read_json(self.file, LARGEST).get(name)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError(f"no sweep's folder: {self.file} is missing or damaged")
        return words


def last_line(run: RunFolder) -> str | None:
    """Of what a job printed, or wrote into its log."""
    for path in (run.path / OUTPUT, *sorted(run.path.glob("*.log"))):
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - 4096))
                lines = flat_lines(file.read().decode(errors="replace"))
        except OSError:
            continue
        if lines:
            return lines[-1]
    return None


def flat_lines(text: str) -> list[str]:
    return [line for raw in text.splitlines() if (line := flat(raw.removeprefix("error: ")))]


def _is_plan(jobs: object) -> TypeGuard[dict[str, list[str]]]:
    return isinstance(jobs, dict) and all(
        isinstance(words, list) and all(isinstance(word, str) for word in words)
        for words in jobs.values()
    )


def _in_order(name: str) -> tuple[int, int, str]:
    """By number: 3, and 03_lr-0.1."""
    number = name.partition("_")[0]
    return (0, int(number), name) if number.isdecimal() else (1, 0, name)
