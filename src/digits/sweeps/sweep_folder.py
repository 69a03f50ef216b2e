"""A sweep's folder: the words that started it, and the folders of its jobs."""

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from digits.errors import InputError
from digits.files import is_inside, is_plain, read_json, tail, write_atomically
from digits.runs import recorded
from digits.runs.folder import SWEEP, RunFolder
from digits.runs.words import OF_THE_FOLDER, key
from digits.text import flat, shown, without_passwords

OUTPUT = "output.log"  # in a job's folder: what its process prints
STORAGE = "DIGITS_STUDY_STORAGE"  # in a job's environment: its study's database
TRIAL = "DIGITS_TRIAL"  # the job's trial: its number, and its study's name
PRUNER = "DIGITS_PRUNER"  # JSON of the pruner's settings
TESTS = "test"  # the folder of the winner's tests
LARGEST = 1 << 26  # bytes of sweep.json: 100,000 jobs have 20 MB
END = 1 << 12  # bytes at the end of a log, to find its last line in
DEEPEST = 4  # folders between a sweep's and a job's files

Identity = tuple[str, ...]


def known_by(words: Iterable[str]) -> list[str]:
    """Return a job's overrides, less those of its place, and less test=, which the sweep sets."""
    return [word for word in words if key(word) not in (*OF_THE_FOLDER, "test")]


def identity(words: Iterable[str]) -> Identity:
    return tuple(sorted(known_by(words)))


def for_jobs(words: Iterable[str]) -> list[str]:
    """Return the words that a job gets: not those that are for the sweep alone."""
    return [word for word in words if key(word) not in ("sweep", "fail_fast")]


class SweepFolder:
    """A sweep's folder at `path`, which need not exist."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.file = self.path / SWEEP
        self.leaderboard_csv = self.path / "leaderboard.csv"
        self.page = self.path / "sweep.html"

    def words(self) -> list[str]:
        """Return the words that started the sweep. Raises InputError for any other folder."""
        words = read_json(self.file, LARGEST).get("words")
        if not _are_words(words):
            raise InputError(f"no sweep's folder: {self.file} is missing or damaged")
        return words

    def planned(self) -> dict[str, list[str]]:
        """Return the overrides of the planned jobs, as far as they are known, by folder. Raises
        InputError for a folder outside the sweep's.
        """
        jobs = read_json(self.file, LARGEST).get("jobs")
        if not isinstance(jobs, dict) or not all(map(_are_words, jobs.values())):
            return {}
        for name in jobs:
            self.inside(name)
        return jobs

    def inside(self, name: str) -> Path:
        """Return the folder of the job `name`. Raises InputError if that is outside the sweep's
        folder: a job writes to its folder, and removes files there.
        """
        path = self.path / name
        if not is_inside(name) or not recorded.is_within(self.path, path):
            raise InputError(f"{self.file}: job {shown(name)}: expected a name inside its folder")
        return path

    def write(self, words: Sequence[str], planned: dict[str, list[str]]) -> None:
        text = json.dumps({"words": list(words), "jobs": planned}, indent=1)
        write_atomically(self.file, f"{without_passwords(text)}\n".encode())

    def runs(self) -> Iterator[RunFolder]:
        """Yield the jobs that have begun, sorted by their numbers. It follows no links."""
        found = []
        for parent, inside, here in os.walk(self.path):
            name = os.path.relpath(parent, self.path)
            is_run = name != "." and (".hydra" in inside or "status.json" in here)
            if is_run and not os.path.islink(os.path.join(parent, ".hydra")):
                found.append(name)
            is_end = is_run or name.count(os.sep) + 1 == DEEPEST
            inside[:] = [n for n in inside if not (is_end or n.startswith(".") or n == TESTS)]
        for name in sorted(found, key=_in_order):
            yield RunFolder(self.path / name)

    def name(self, run: RunFolder) -> str:
        return run.path.relative_to(self.path).as_posix()

    def jobs(self) -> Iterator[tuple[str, RunFolder, list[str]]]:
        """Yield the names, folders and overrides of jobs that have begun, then of those that wait.
        A job has no overrides if it was killed before it could write them.
        """
        planned = self.planned()
        for run in self.runs():
            name = self.name(run)
            words = planned.pop(name, [])
            with suppress(InputError):
                words = words or recorded.words(run)
            yield name, run, words
        for name, words in planned.items():
            yield name, RunFolder(self.path / name), words

    def known(self) -> dict[Identity, str]:
        """Return the folders' names by the jobs' identities; a job that has begun comes first."""
        return {identity(words): name for name, _, words in reversed([*self.jobs()])}

    def tested(self, name: str) -> dict[str, Any]:
        """Return the scores of the job's test as the winner; none if it has not won."""
        has_one = is_plain(self.path, f"{TESTS}/{name}/metrics.json")
        return RunFolder(self.path / TESTS / name).measured() if has_one else {}


def last_line(run: RunFolder) -> str | None:
    """Return the last line that a job printed or logged."""
    for path in (run.path / OUTPUT, *sorted(run.path.glob("*.log"))):
        with suppress(OSError):
            lines = tail(path, END).decode(errors="replace").splitlines()
            if told := [line for raw in lines if (line := flat(raw.removeprefix("error: ")))]:
                return told[-1]
    return None


def _are_words(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _in_order(name: str) -> tuple[float, str]:
    number = re.match("[0-9]+", name)
    return int(number[0]) if number else math.inf, name
