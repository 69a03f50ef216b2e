"""Ending with the process that started this one, however that ends. Standard library only."""

import ctypes
import os
import signal
import sys
import threading
import time

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows the one is the other
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_EVERY_S = 0.5
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # here: a fork must load nothing


def end_with_parent(parent: int | None = None) -> None:
    """SIGKILL comes when the process `parent` ends, or has ended; it is the one that started this
    one, by default whoever did.

    On Linux it may be Popen's `preexec_fn`, since exec keeps it, and the end of the thread that
    started this process counts as the parent's.
    """
    parent = parent or os.getppid()
    if _LIBC is None or _LIBC.prctl(PR_SET_PDEATHSIG, KILL) != 0:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    _end_without(parent)  # it may have gone meanwhile


def _watch(parent: int) -> None:
    while True:
        time.sleep(LOOK_EVERY_S)
        _end_without(parent)


def _end_without(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), KILL)
