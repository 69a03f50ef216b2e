"""A run's status, in its folder's status.json, and the folder's lock: the kernel lets one process
at a time hold it, and frees it when that process ends.
"""

import json
import os
import secrets
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

from digits.errors import DivergedError, InputError, exit_code, one_line
from digits.files import read_json, write_atomically

NAME = "status.json"
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
FAILED, DIVERGED, KILLED = "failed", "diverged", "killed"
PRUNED = "pruned"  # the first word of the reason if a search ended the run early
TRIES, WAIT_S = 10, 0.05  # since `is_held` takes the lock for a moment
_OURS = secrets.token_hex(8)  # names this process in a status; process ids are reused


@dataclass(frozen=True)
class Status:
    """`status` is RUNNING, FINISHED, STOPPED (by a signal), FAILED or DIVERGED (`error` is the last
    line it printed) or KILLED. `begun` and `ended` are UTC in ISO 8601. `warning` says why the
    result is doubtful. `objective` is what a sweeper gets, `code` the exit code.
    """

    status: str
    error: str | None = None
    begun: str | None = None
    ended: str | None = None
    warning: str | None = None
    objective: float | list[float] | None = None
    code: int | None = None


def read(folder: Path) -> Status | None:
    """Return a run's status; None if the folder is no run's, or the run wrote none."""
    is_running = folder.is_dir() and is_held(folder)  # look first, since the run may end meanwhile
    told = {name: value for name, value in _told(folder).items() if name != "process"}
    try:
        status = Status(**told)
    except TypeError:
        return None
    lost = status.status == RUNNING and not is_running
    return Status(KILLED, status.error, status.begun) if lost else status


def begin(folder: Path) -> None:
    """Record that the run begins, or goes on."""
    _write(folder, Status(RUNNING, begun=_now()))


def warn(folder: Path, warning: str) -> None:
    """Record why the result is doubtful, if this process has begun the run."""
    told = _told(folder)
    if _is_ours(told):
        _write(folder, Status(RUNNING, begun=told["begun"], warning=warning))


def settle(folder: Path) -> None:
    """Begin a complete run if its status does not say that it is finished; `end` follows."""
    told = _told(folder)
    if told.get("process") != _OURS and told.get("status") != FINISHED:
        begin(folder)


def end(folder: Path, error: BaseException | None, objective: Any = None) -> None:
    """Record the end of the run, by `error` or with `objective`, if this process has begun it."""
    told = _told(folder)
    if not _is_ours(told):
        return
    kind, line, code = FINISHED, None, 0
    if isinstance(error, Exception):
        kind, line = DIVERGED if isinstance(error, DivergedError) else FAILED, one_line(error)
        code = exit_code(error)
    elif error is not None:
        kind, code = STOPPED, getattr(error, "exit_code", 130)
    warning = told.get("warning")
    _write(folder, Status(kind, line, told["begun"], _now(), warning, objective, code))


def is_pruned(measured: dict[str, Any]) -> bool:
    """Whether metrics.json says that a search ended the run early."""
    return str(measured.get("ended")).startswith(PRUNED)


def _is_ours(told: dict[str, Any]) -> bool:
    return told.get("process") == _OURS and told["status"] == RUNNING


def _told(folder: Path) -> dict[str, Any]:
    told = read_json(folder / NAME)
    code = told.get("code")
    others = [value for name, value in told.items() if name != "code"]
    are_plain = all(isinstance(value, str | float | list | None) for value in others)
    return told if are_plain and isinstance(code, int | None) else {}


def _write(folder: Path, status: Status) -> None:
    text = json.dumps(asdict(status) | {"process": _OURS}, indent=2)
    write_atomically(folder / NAME, f"{text}\n".encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock the folder for the block. Raises InputError if another living process holds it."""
    with _opened(folder) as handle:
        if _is_locked(handle, is_mine=True, tries=TRIES) is False:
            raise InputError(f"{folder}: another process is training there")
        yield


def is_held(folder: Path) -> bool:
    """Whether a process holds the folder's lock; True on a system without locks."""
    with _opened(folder) as handle:
        return _is_locked(handle, is_mine=False, tries=1) is not True


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """Open the folder, to lock it; None on a system without locks."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _is_locked(handle: int | None, is_mine: bool, tries: int) -> bool | None:
    """Lock the folder, alone if `is_mine`, else shared. Return if it worked; None without locks."""
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
