"""A run's folder: what its files are called, who is in it, which is the newest."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from digits.errors import InputError
from digits.files import called, read_json
from digits.runs import status
from digits.runs.status import Status

LAST = "last.ckpt"  # the newest state
PREVIOUS = "previous.ckpt"  # the one before it
BEST = "best.ckpt"  # by validation, if there is any
DEBUG = "debug"  # the task_name of debug=..., and so a folder of outputs
SWEEP = "sweep.json"  # in the folder that a sweep's jobs are in


class RunFolder:
    """The folder at `path`, which need not exist."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.last, self.previous, self.best = (
            self.checkpoints / name for name in (LAST, PREVIOUS, BEST)
        )
        self.metrics_json = self.path / "metrics.json"
        self.metrics_csv = self.path / "metrics.csv"
        self.tensorboard = self.path / "tensorboard"
        self.figures = self.path / "figures"
        self.evidence = self.path / "evidence.npz"  # what the figures are drawn from
        self.report = self.path / "report.html"
        self.status_json = self.path / status.NAME
        self.hydra = self.path / ".hydra"
        self.overrides = self.hydra / "overrides.yaml"
        self.config = self.hydra / "config.yaml"

    @classmethod
    def of(cls, ckpt: Path) -> "RunFolder | None":
        """Of the run that left a checkpoint."""
        parent = Path(os.path.abspath(ckpt)).parent
        return cls(parent.parent) if parent.name == cls(".").checkpoints.name else None

    @property
    def judged(self) -> Path:
        """The checkpoint the run was tested with: best.ckpt if it had validation, else the last."""
        return self.best if self.best.is_file() else self.last

    def has_checkpoint(self) -> bool:
        return self.last.is_file() or self.previous.is_file()

    def has_run(self) -> bool:
        """Whether a run or a sweep has left something, whichever of it was switched off."""
        left = (self.hydra, self.checkpoints, self.metrics_json, self.metrics_csv, self.tensorboard)
        return any(path.exists() for path in (*left, self.status_json, self.path / "multirun.yaml"))

    def has_measured(self) -> bool:
        measured = (self.metrics_json, self.metrics_csv, *self.checkpoints.glob("*"))
        return any(path.exists() for path in measured)

    def clear(self) -> None:
        """Remove what a run has left."""
        for folder in (self.hydra, self.checkpoints, self.tensorboard, self.figures):
            shutil.rmtree(folder, ignore_errors=True)
        files = (self.metrics_json, self.metrics_csv, self.status_json, self.evidence, self.report)
        for file in files:
            file.unlink(missing_ok=True)

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes out, as status.held does."""
        return status.held(self.path)

    def status(self) -> Status | None:
        return status.read(self.path)

    def measured(self) -> dict[str, Any]:
        """What metrics.json has, if anything."""
        return read_json(self.metrics_json)


def existing(ckpt_path: str) -> Path:
    """The checkpoint `ckpt_path`. Raises InputError if there is no such file."""
    path = Path(ckpt_path)
    try:
        kind = "a folder" if path.is_dir() else "no such file" if not path.is_file() else None
    except OSError as error:  # a name too long
        kind = error.strerror
    if kind:
        raise InputError(f"ckpt_path={path}: {kind}; expected a .ckpt file, or latest")
    return path


def newest_run(outputs_dir: Path, asked: str) -> RunFolder:
    """The run with the newest last.ckpt that is no job of a sweep. Raises InputError, for what was
    `asked`, without one.
    """
    runs = list(trained(outputs_dir))
    for run in runs:
        if sweep_of(run, outputs_dir) is None:
            return run
    train = called("train")
    hint = f"{train} -m sweep=latest goes on with a sweep" if runs else f"{train} trains one"
    raise InputError(f"{asked}: no run under {outputs_dir} has a checkpoint yet; {hint}")


def trained(outputs_dir: Path) -> Iterator[RunFolder]:
    """Those with a last.ckpt, newest first, jobs of sweeps among them; what only debugs does not
    count.
    """
    found = [
        path
        for path in outputs_dir.glob(f"**/{RunFolder('').last}")
        if path.relative_to(outputs_dir).parts[0] != DEBUG
    ]
    for path in sorted(found, key=_modified, reverse=True):
        yield RunFolder(path.parents[1])


def sweep_of(run: RunFolder, outputs_dir: Path) -> Path | None:
    """The folder of the sweep that `run` is a job of, if it is one."""
    for parent in run.path.parents:
        if (parent / SWEEP).is_file():
            return parent
        if parent == outputs_dir:
            break
    return None


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns
