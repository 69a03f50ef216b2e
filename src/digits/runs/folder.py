"""A run's folder: its files' names, the lock that a process holds, and which folder is newest."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from digits.errors import InputError
from digits.files import called, read_json
from digits.runs import status
from digits.runs.status import Status

LAST = "last.ckpt"  # the newest state
PREVIOUS = "previous.ckpt"  # the one before it
BEST = "best.ckpt"  # the best by validation, if the run has any
DEBUG = "debug"  # the task_name of debug=...: a folder in outputs/
SWEEP = "sweep.json"  # a file in a sweep's folder


class RunFolder:
    """A run's folder at `path`, which need not exist."""

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
        """Return the folder of the run that wrote `ckpt`; None for a file that is elsewhere."""
        parent = Path(os.path.abspath(ckpt)).parent
        return cls(parent.parent) if parent.name == cls(".").checkpoints.name else None

    @property
    def judged(self) -> Path:
        """Return the checkpoint of the run's test: best.ckpt if there is one, else last.ckpt."""
        return self.best if self.best.is_file() else self.last

    def has_checkpoint(self) -> bool:
        return self.last.is_file() or self.previous.is_file()

    def has_run(self) -> bool:
        """Whether a run or a sweep has left any file: settings may switch some of them off."""
        left = (self.hydra, self.checkpoints, self.metrics_json, self.metrics_csv, self.tensorboard)
        return any(path.exists() for path in (*left, self.status_json, self.path / "multirun.yaml"))

    def has_measured(self) -> bool:
        measured = (self.metrics_json, self.metrics_csv, *self.checkpoints.glob("*"))
        return any(path.exists() for path in measured)

    def clear(self) -> None:
        """Remove all that a run has left."""
        for folder in (self.hydra, self.checkpoints, self.tensorboard, self.figures):
            shutil.rmtree(folder, ignore_errors=True)
        files = (self.metrics_json, self.metrics_csv, self.status_json, self.evidence, self.report)
        for file in files:
            file.unlink(missing_ok=True)

    def held(self) -> AbstractContextManager[None]:
        """Keep other processes out of the folder, as status.held does."""
        return status.held(self.path)

    def status(self) -> Status | None:
        return status.read(self.path)

    def measured(self) -> dict[str, Any]:
        """Return the content of metrics.json; an empty dict if there is none."""
        return read_json(self.metrics_json)

    def tested(self, ckpt: Path) -> dict[str, str]:
        """Return the accuracy in metrics.json if it is this checkpoint's, not that of an older
        last.ckpt or of best.ckpt; nothing if the file is damaged.
        """
        metrics = self.measured()
        with suppress(OSError, ValueError, LookupError, TypeError):
            judged, asked = metrics["ckpt_path"], os.path.abspath(ckpt)
            is_same = Path(judged).parts[-3:] == Path(asked).parts[-3:]  # the folder may have moved
            accuracy, images = metrics["test/acc"], metrics["test/images"]
            is_newer = self.metrics_json.stat().st_mtime_ns >= ckpt.stat().st_mtime_ns
            if is_newer and is_same and 0 <= accuracy <= 1 <= images < 1e9:
                return {"test_accuracy": f"{accuracy:.6g}", "test_images": f"{images:.0f}"}
        return {}


def existing(file: str, setting: str = "ckpt_path") -> Path:
    """Return `file` as a path. Raises InputError if there is no such file."""
    path = Path(file)
    try:
        kind = "a folder" if path.is_dir() else "no such file" if not path.is_file() else None
    except OSError as error:  # the name is too long
        kind = error.strerror
    if kind:
        raise InputError(f"{setting}={path}: {kind}; expected a .ckpt file, or latest")
    return path


def newest_run(outputs_dir: Path, asked: str) -> RunFolder:
    """Return the run with the newest last.ckpt that is no job of a sweep. Raises InputError, which
    quotes `asked`, if there is none.
    """
    runs = list(trained(outputs_dir))
    for run in runs:
        if sweep_of(run, outputs_dir) is None:
            return run
    train = called("train")
    hint = f"{train} -m sweep=latest goes on with a sweep" if runs else f"{train} trains one"
    raise InputError(f"{asked}: no run under {outputs_dir} has a checkpoint yet; {hint}")


def trained(outputs_dir: Path) -> Iterator[RunFolder]:
    """Yield the runs with a last.ckpt, newest first. Jobs of sweeps are among them, runs with
    debug=... are not.
    """
    found = [
        path
        for path in outputs_dir.glob(f"**/{RunFolder('').last}")
        if path.relative_to(outputs_dir).parts[0] != DEBUG
    ]
    for path in sorted(found, key=_modified, reverse=True):
        yield RunFolder(path.parents[1])


def sweep_of(run: RunFolder, outputs_dir: Path) -> Path | None:
    """Return the folder of the sweep that `run` is a job of; None if it is no job."""
    for parent in run.path.parents:
        if (parent / SWEEP).is_file():
            return parent
        if parent == outputs_dir:
            break
    return None


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns
