"""A job of a sweep: what it does, its folder's name, and how a process of its own runs it."""

import json
import multiprocessing
import os
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from digits.console import program
from digits.errors import FULL_ERROR, InputError
from digits.files import python_path
from digits.runs import recorded
from digits.runs.folder import RunFolder
from digits.runs.status import FINISHED
from digits.runs.words import key, quoted, value_text
from digits.signals import KILL, end_with_parent
from digits.sweeps.sweep_folder import OUTPUT

LONGEST_VALUE, LONGEST_NAME = 24, 100  # characters


@dataclass(frozen=True)
class Job:
    """A run of a sweep in `folder`: the command `program` with `flags` and `words`, of which
    `label` shows those that other jobs do not share. The job computes with `threads`, if given, and
    starts in the folder `current`; `environment` is added to its process's own.
    """

    number: int
    words: tuple[str, ...]
    folder: Path
    label: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    program: str = "train"
    flags: tuple[str, ...] = ()
    threads: int | None = None
    current: str = "."

    def __str__(self) -> str:
        return f"job {self.number} ({self.label})"

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def of_json(cls, text: str) -> "Job":
        fields: dict[str, Any] = json.loads(text)
        pairs = tuple((str(name), str(value)) for name, value in fields.pop("environment"))
        fields |= {name: tuple(fields[name]) for name in ("flags", "words")}
        return cls(**fields | {"folder": Path(fields["folder"]), "environment": pairs})


def name_of(number: int, count: int, words: Sequence[str]) -> str:
    """Return the name of a job's folder: its number, of `count`, and its differing words, as in
    03_lr-0.001_seed-2. The name needs no quotes in a shell or on Hydra's command line.
    """
    names = [key(word) for word in words]
    told = [f"{_short(key(word), names)}-{_plain(word)}" for word in words]
    number_text = f"{number:0{max(2, len(str(count - 1)))}}"
    return "_".join([number_text, *told])[:LONGEST_NAME].rstrip("-._")


def _short(name: str, names: Sequence[str]) -> str:
    """Return as many of the setting's last parts as distinguish it from the other `names`."""
    parts = re.split(r"[./]", name)
    for count in range(1, len(parts)):
        last = parts[-count:]
        if sum(re.split(r"[./]", other)[-count:] == last for other in names) == 1:
            return ".".join(last)
    return ".".join(parts)


def _plain(word: str) -> str:
    value = value_text(word)
    try:
        return min(value, f"{float(value):.4g}", key=len)
    except ValueError:
        plain = re.sub(r"[^\w.+-]+", "-", value, flags=re.ASCII)
        return plain.strip("-.")[:LONGEST_VALUE]


def find_this_package() -> None:
    """Let all processes that start from here on import this package, not another one that is
    installed, even if none is installed.
    """
    os.environ["PYTHONPATH"] = python_path()


def to_begin_or_go_on(run: RunFolder, words: Sequence[str]) -> list[str]:
    """Return a job's words: one with a checkpoint goes on from it, one without begins anew. Raises
    InputError if another process is in the folder, or a link leads out of it.
    """
    if not run.has_checkpoint():
        if run.has_run():
            with run.held():
                recorded.check_is_plain(run.path)
                run.clear()
        return list(words)
    drawn = [word for word in recorded.words(run) if key(word) == "seed"]
    begun = {"ckpt_path", "weights"} | ({"seed"} if drawn else set())
    kept = [word for word in words if key(word) not in begun]
    return [*kept, *drawn, f"resume={quoted(run.path)}"]


def run(job: Job) -> NoReturn:
    """Run the job in a process that does nothing else. Exits with the command's code, or with 0 if
    the job was finished before: SLURM and Ray may start one again.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl+C reaches the sweep alone, which asks its jobs to stop
    end_with_parent()  # the parent is the server that forks
    if sweep := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(sweep,), daemon=True).start()
    begin(job)


def _end_with(process: Any) -> None:
    """End this process with the sweep: the forking server would outlive it."""
    process.join()
    os.kill(os.getpid(), KILL)


def begin(job: Job) -> NoReturn:
    """Do as `run` in a process that somebody else ends."""
    folder = RunFolder(job.folder)
    if folder.path.is_symlink():
        sys.exit(2)
    folder.path.mkdir(parents=True, exist_ok=True)
    _print_into(folder.path / OUTPUT)
    os.chdir(job.current)
    os.environ.pop(FULL_ERROR, None)  # the sweep set it, not the user
    os.environ.update(job.environment)
    status = folder.status()
    if status and status.status == FINISHED:
        sys.exit(0)
    if job.threads:
        os.environ["OMP_NUM_THREADS"] = str(job.threads)
        if "torch" in sys.modules:  # torch has read the variable already
            sys.modules["torch"].set_num_threads(job.threads)
    try:
        words = to_begin_or_go_on(folder, job.words)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    place = (f"hydra.run.dir={quoted(folder.path)}", f"hydra.job.num={job.number}")
    module = program(job.program)
    sys.argv = [str(module.__file__), *job.flags, *words, *place]
    sys.orig_argv[:] = [sys.executable, *sys.argv]  # metrics.json records it
    module.main()
    sys.exit(0)


def _print_into(path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    output = os.open(path, flags, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, own in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(handle, own)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", 1), open(2, "w", 1)  # noqa: SIM115


def main() -> NoReturn:
    """Run the job on standard input, for `python -m digits.sweeps.job`."""
    begin(Job.of_json(sys.stdin.read()))


if __name__ == "__main__":
    main()
