"""One process at a time in a folder. The lock is the kernel's: it ends with whoever has it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from digits.errors import InputError

TRIES, WAIT_S = 10, 0.05  # for a lock that `is_held` has for a moment


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out. Raises InputError if one is in: a killed one no longer is."""
    with _opened(folder) as handle:
        if _is_locked(handle, is_mine=True, tries=TRIES) is False:
            raise InputError(f"{folder}: another process is training there")
        yield


def is_held(folder: Path) -> bool:
    """Whether a process is in; True if a system without locks can't tell."""
    with _opened(folder) as handle:
        return _is_locked(handle, is_mine=False, tries=1) is not True


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
