"""A run's folder: what its files are called, who may write in it, and what became of the run."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from digits.errors import DivergedError, InputError, one_line
from digits.files import called, read_at_most, write_atomically

MAX_BYTES = 1 << 20  # of a JSON file, which may come from anyone; a run's have 1 KB
MOST_DIGITS = 300
TRIES, WAIT_S = 10, 0.05  # for a lock that `is_held` has for a moment

LAST = "last.ckpt"  # the newest state
PREVIOUS = "previous.ckpt"  # the one before it
BEST = "best.ckpt"  # by validation, if there is any
DEBUG = "debug"  # the task_name of debug=..., and so a folder of outputs
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
FAILED, DIVERGED, KILLED = "failed", "diverged", "killed"
PRUNED = "pruned"  # how the reason begins why a search's trial ended early
_OURS = secrets.token_hex(8)  # which process wrote a status: ids are given again


@dataclass(frozen=True)
class Status:
    """What became of a run: RUNNING, FINISHED, STOPPED (by a signal), FAILED or DIVERGED (`error`
    is the last line it said) or KILLED. `begun` and `ended` are UTC in ISO 8601. `warning` says
    what makes its result doubtful. `objective` is what the run returned to a sweeper.
    """

    status: str
    error: str | None = None
    begun: str | None = None
    ended: str | None = None
    warning: str | None = None
    objective: float | list[float] | None = None


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
        self.status_json = self.path / "status.json"
        self.hydra = self.path / ".hydra"
        self.overrides = self.hydra / "overrides.yaml"
        self.config = self.hydra / "config.yaml"

    @classmethod
    def of(cls, ckpt: Path) -> "RunFolder | None":
        """Of the run that left a checkpoint."""
        parent = Path(os.path.abspath(ckpt)).parent
        return cls(parent.parent) if parent.name == cls(".").checkpoints.name else None

    def has_checkpoint(self) -> bool:
        return self.last.is_file() or self.previous.is_file()

    def has_run(self) -> bool:
        """Whether a run or a sweep has left something, whichever of it was switched off."""
        left = (self.hydra, self.checkpoints, self.metrics_json, self.metrics_csv, self.tensorboard)
        return any(path.exists() for path in (*left, self.status_json, self.path / "multirun.yaml"))

    def clear(self) -> None:
        """Remove what a run has left."""
        for folder in (self.hydra, self.checkpoints, self.tensorboard, self.figures):
            shutil.rmtree(folder, ignore_errors=True)
        files = (self.metrics_json, self.metrics_csv, self.status_json, self.evidence, self.report)
        for file in files:
            file.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out. Raises InputError if one is in: a killed one no longer is."""
        with _opened(self.path) as handle:
            if _is_locked(handle, is_mine=True, tries=TRIES) is False:
                raise InputError(f"{self.path}: another process is training there")
            yield

    def is_held(self) -> bool:
        """Whether a process is in; True if a system without locks can't tell."""
        with _opened(self.path) as handle:
            return _is_locked(handle, is_mine=False, tries=1) is not True

    def begin(self) -> None:
        """The run begins, or goes on."""
        self._write(Status(RUNNING, begun=_now()))

    def warn(self, warning: str) -> None:
        """Note what makes the result doubtful of the run that this process has begun, if any."""
        told = self._told()
        if told.get("process") == _OURS and told["status"] == RUNNING:
            self._write(Status(RUNNING, begun=told["begun"], warning=warning))

    def settle(self) -> None:
        """Begin, if a run that is complete did not come to say so: `end` follows."""
        told = self._told()
        if told.get("process") != _OURS and told.get("status") != FINISHED:
            self.begin()

    def end(self, error: BaseException | None, objective: Any = None) -> None:
        """The run that this process has begun, if any, is over, by `error` or with `objective`."""
        told = self._told()
        if told.get("process") != _OURS or told["status"] != RUNNING:
            return
        kind, line = FINISHED, None
        if isinstance(error, Exception):
            kind, line = DIVERGED if isinstance(error, DivergedError) else FAILED, one_line(error)
        elif error is not None:
            kind = STOPPED
        ended = Status(kind, line, told["begun"], _now(), told.get("warning"), objective)
        self._write(ended)

    def status(self) -> Status | None:
        """None if it is not known: a folder that is not a run's, or of a run that wrote none."""
        is_held = self.path.is_dir() and self.is_held()  # first: it may end meanwhile
        told = {name: value for name, value in self._told().items() if name != "process"}
        try:
            status = Status(**told)
        except TypeError:
            return None
        lost = status.status == RUNNING and not is_held
        return Status(KILLED, status.error, status.begun) if lost else status

    def measured(self) -> dict[str, Any]:
        """What metrics.json has, if anything."""
        return read_json(self.metrics_json)

    def _told(self) -> dict[str, Any]:
        told = read_json(self.status_json)
        are_plain = all(isinstance(value, str | float | list | None) for value in told.values())
        return told if are_plain else {}

    def _write(self, status: Status) -> None:
        text = json.dumps(asdict(status) | {"process": _OURS}, indent=2)
        write_atomically(self.status_json, f"{text}\n".encode())


def is_pruned(measured: dict[str, Any]) -> bool:
    """Whether metrics.json says that a search ended the run early."""
    return str(measured.get("ended")).startswith(PRUNED)


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """An object that anyone may have written; empty if there is none."""
    try:
        content = json.loads(read_at_most(path, max_bytes), parse_int=_integer)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _integer(digits: str) -> int | float:
    """As a number with a point if there are so many digits that it may be infinite as one."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def find(ckpt_path: str, outputs_dir: str) -> Path:
    """The checkpoint `ckpt_path` names. `latest` is the one the newest run was tested with: its
    best.ckpt if it had validation, else its last.ckpt.

    Raises InputError if there is no such file.
    """
    if ckpt_path == "latest":
        run = latest(Path(outputs_dir), "ckpt_path=latest")
        return run.best if run.best.is_file() else run.last
    path = Path(ckpt_path)
    try:
        kind = "a folder" if path.is_dir() else "no such file" if not path.is_file() else None
    except OSError as error:  # a name too long
        kind = error.strerror
    if kind:
        raise InputError(f"ckpt_path={path}: {kind}; expected a .ckpt file, or latest")
    return path


def latest(outputs_dir: Path, asked: str) -> RunFolder:
    """The run with the newest last.ckpt; those that only debug don't count. Raises InputError, for
    what was `asked`, without one.
    """
    name = RunFolder("").last
    trained = (
        path
        for path in outputs_dir.glob(f"**/{name}")
        if path.relative_to(outputs_dir).parts[0] != DEBUG
    )
    newest = max(trained, key=_modified, default=None)
    if newest is None:
        raise InputError(
            f"{asked}: no run under {outputs_dir} has a checkpoint yet; "
            f"{called('train')} trains one"
        )
    return RunFolder(newest.parents[1])


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """None where nothing can be locked."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _is_locked(handle: int | None, is_mine: bool, tries: int) -> bool | None:
    """Locked now, for this process alone or `is_mine` false; None on a system without locks."""
    if handle is None:
        return None
    for attempt in range(tries):
        if attempt:
            time.sleep(WAIT_S)
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if is_mine else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:
            return None
        return True
    return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
