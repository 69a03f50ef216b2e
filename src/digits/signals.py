"""How processes end: a run by a signal, after a step and its save; a child with its parent."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# SLURM's --signal sends the last, which Windows does not have
SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGUSR1")]
NOTHING_BEGAN = "stopped; nothing had begun"
GRACE_S = 20  # a step that takes longer is given up: schedulers kill half a minute after SIGTERM

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows the one is the other
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_EVERY_S = 0.5
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # here: a fork must load nothing


class Stopped(KeyboardInterrupt):
    """Lightning shuts down as it does for Ctrl+C, and ends the run's other processes."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number  # as shells have it: 130, 143, 138
        self.is_said = False


_fits = False  # whether `after_the_step`
_waits = False  # whether steps are under way there
_asked = 0  # the signal that came
_raised = 0  # the one that raised Stopped
_alarm: Any = None  # whose SIGALRM was, while a step has GRACE_S


def end_at_once() -> None:
    """Until `listen`, while all is imported, Ctrl+C ends the process with a line."""
    signal.signal(signal.SIGINT, _end)


def _end(number: int, _: Any) -> None:
    os.write(2, f"{NOTHING_BEGAN}\n".encode())
    os._exit(128 + number)


def listen() -> None:
    """From here on the signals raise Stopped. Python hears them in its main thread alone."""
    global _raised
    _raised = 0
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        signal.signal(number, _handle)


@contextmanager
def after_the_step() -> Iterator[None]:
    """Around a fit. Once its `steps_begin`, the first signal is only what `asked()` gives, so that
    a step or a save ends whole; the second one, or GRACE_S, raises Stopped. A signal nobody looked
    for does so at the end.
    """
    global _fits, _waits, _asked
    _fits, _asked = True, 0
    try:
        yield
    finally:
        _fits = _waits = False
        _set_alarm(0)
    if asked():
        raise Stopped(asked())


def steps_begin() -> None:
    global _waits
    _waits = _fits


def asked() -> int:
    """The number of the signal that wants this fit to end; 0 for none."""
    return _asked


@contextmanager
def held() -> Iterator[None]:
    """Signals wait until the end of the block, so that it is done as a whole or not at all. So do
    those of processes that are started in it, until they call `let_go`.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        let_go()


def let_go() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def raised() -> Stopped | None:
    """What a signal raised: C code that runs Python may turn it into an ImportError, or lose it."""
    return Stopped(_raised) if _raised else None


def raise_again() -> None:
    """Once."""
    if stopped := raised():
        forget()
        raise stopped


def forget() -> None:
    """What was raised has ended what it was to end."""
    global _raised
    _raised = 0


def _handle(number: int, _: Any) -> None:
    global _asked, _raised
    if not _waits or asked():
        _raised = number
        raise Stopped(number)
    _asked = number
    _set_alarm(GRACE_S)


def _set_alarm(seconds: int) -> None:
    """0 for none. Without alarms, on Windows, only a second signal ends a step."""
    global _alarm
    is_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "SIGALRM") or not is_main:
        return
    if seconds:
        _alarm = signal.signal(signal.SIGALRM, _lose_patience)
        signal.alarm(seconds)
    elif _alarm is not None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, _alarm)
        _alarm = None


def _lose_patience(*_: Any) -> None:
    raise Stopped(_asked)


def end_with_parent(parent: int | None = None) -> None:
    """SIGKILL comes when the process `parent`, which started this one, ends, or has ended.

    On Linux it may be Popen's `preexec_fn`, since exec keeps it, and the end of the thread that
    started this process counts as the parent's.
    """
    parent = parent or os.getppid()
    if _LIBC is None or _LIBC.prctl(PR_SET_PDEATHSIG, KILL) != 0:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it has gone meanwhile
        os.kill(os.getpid(), KILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), KILL)
