"""How processes end: a signal ends a run after a step and a save; a child ends with its parent."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# SLURM's --signal sends SIGUSR1, which Windows does not have
SIGNALS = [each for each in signal.Signals if each.name in ("SIGINT", "SIGTERM", "SIGUSR1")]
NOTHING_BEGAN = "stopped; nothing had begun"
GRACE_S = 20  # a longer step is given up: schedulers kill half a minute after SIGTERM

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no SIGKILL
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOK_EVERY_S = 0.5
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # now: a fork must load nothing


class Stopped(KeyboardInterrupt):
    """A signal came. Lightning shuts down as for Ctrl+C, and ends the run's other processes."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number  # shells' convention: 130, 143, 138
        self.is_said = False


_fits = False  # whether this is in the block of `after_the_step`
_waits = False  # whether its steps have begun, so that signals wait
_asked = 0  # the signal that asks the fit to end
_raised = 0  # the signal that raised Stopped
_alarm: Any = None  # the earlier handler of SIGALRM, while a step has GRACE_S


def end_at_once() -> None:
    """Let Ctrl+C end the process with a line, while it imports, until it calls `listen`."""
    signal.signal(signal.SIGINT, _end)


def _end(number: int, _: Any) -> None:
    os.write(2, f"{NOTHING_BEGAN}\n".encode())
    os._exit(128 + number)


def listen() -> None:
    """Let the signals raise Stopped from here on. Python hears them in its main thread alone."""
    global _raised
    _raised = 0
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        signal.signal(number, _handle)


@contextmanager
def after_the_step() -> Iterator[None]:
    """Let a fit in the block finish its step or save before a signal ends it: after `steps_begin`
    the first signal only changes `asked()`; a second one, or GRACE_S, raises Stopped. The end of
    the block raises Stopped for a first signal that nobody looked at.
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
    """Return the number of the signal that wants this fit to end; 0 for none."""
    return _asked


@contextmanager
def held() -> Iterator[None]:
    """Make signals wait until the end of the block, so that it is done as a whole or not at all.
    Signals to processes that the block starts wait until those call `let_go`.
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
    """Return what a signal raised: C code that runs Python may lose it, or raise ImportError."""
    return Stopped(_raised) if _raised else None


def raise_again() -> None:
    """Raise once more, but only once, what a signal has raised."""
    if stopped := raised():
        forget()
        raise stopped


def forget() -> None:
    """Forget what a signal raised, once that has ended what it was to end."""
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
    """Set the alarm, or end it for 0. On Windows, without alarms, a second signal ends a step."""
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
    """Let SIGKILL end this process when the process `parent`, which started it, ends or has ended.

    On Linux this may be Popen's `preexec_fn`, since exec keeps it, and the end of the thread that
    started this process counts as the parent's end.
    """
    parent = parent or os.getppid()
    if _LIBC is None or _LIBC.prctl(PR_SET_PDEATHSIG, KILL) != 0:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # the parent has ended meanwhile
        os.kill(os.getpid(), KILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), KILL)
