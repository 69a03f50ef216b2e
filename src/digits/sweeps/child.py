"""A job in a process of its own, whoever starts it: a pool, SLURM or Ray."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from digits.console import program
from digits.errors import InputError
from digits.files import PACKAGE
from digits.parent import end_with_parent
from digits.runs import overrides
from digits.runs.folder import FINISHED, RunFolder
from digits.runs.overrides import key, quoted
from digits.sweeps.folder import OUTPUT


@dataclass(frozen=True)
class Work:
    """The command `name` (train, eval) with `flags` and `words`, as the job `number` in `folder`.
    It computes with `threads`, if given; `environment` is added to the process's own.
    """

    name: str
    flags: tuple[str, ...]
    words: tuple[str, ...]
    number: int
    folder: str
    current: str
    threads: int | None = None
    environment: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "Work":
        fields: dict[str, Any] = json.loads(text)
        pairs = tuple((str(name), str(value)) for name, value in fields.pop("environment"))
        fields |= {name: tuple(fields[name]) for name in ("flags", "words")}
        return cls(**fields, environment=pairs)


def find_this_package() -> None:
    """Processes that are started from here on, by whomever, import this package, not another that
    is installed, and need none that is.
    """
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if there[0] != str(PACKAGE.parent):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), *filter(None, there)])


def to_begin_or_go_on(run: RunFolder, words: Sequence[str]) -> list[str]:
    """The words of a job: what is half done goes on from its checkpoint, and what has none begins
    anew. Raises InputError if a process is in the folder.
    """
    if not run.has_checkpoint():
        if run.has_run():
            with run.held():
                run.clear()
        return list(words)
    drawn = [word for word in overrides.read(run) if key(word) == "seed"]
    kept = [word for word in words if key(word) != "seed"] if drawn else list(words)
    return [*kept, *drawn, f"resume={quoted(run.path)}"]


def run(work: Work) -> NoReturn:
    """In a process that does nothing else. Exits with the command's code, 0 if the job was
    finished before: SLURM and Ray may start one again.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl+C is for the sweep, which asks its jobs to stop
    end_with_parent()
    begin(work)


def begin(work: Work) -> NoReturn:
    """As `run`, in a process that somebody else looks after."""
    folder = RunFolder(work.folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    _print_into(folder.path / OUTPUT)
    os.chdir(work.current)
    os.environ.update(work.environment)
    status = folder.status()
    if status and status.status == FINISHED:
        sys.exit(0)
    if work.threads:
        os.environ["OMP_NUM_THREADS"] = str(work.threads)
        if "torch" in sys.modules:  # which has looked at it already
            sys.modules["torch"].set_num_threads(work.threads)
    try:
        words = to_begin_or_go_on(folder, work.words)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    place = (f"hydra.run.dir={quoted(folder.path)}", f"hydra.job.num={work.number}")
    module = program(work.name)
    sys.argv = [str(module.__file__), *work.flags, *words, *place]
    sys.orig_argv[:] = [sys.executable, *sys.argv]  # what metrics.json tells of
    module.main()
    sys.exit(0)


def _print_into(path: Path) -> None:
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, own in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(handle, own)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", 1), open(2, "w", 1)  # noqa: SIM115


def main() -> NoReturn:
    """`python -m digits.sweeps.child`, with the work on standard input."""
    begin(Work.of_json(sys.stdin.read()))


if __name__ == "__main__":
    main()
