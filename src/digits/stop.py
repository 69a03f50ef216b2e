"""Signals that end a run: at once, or in a fit after the step under way, when all is saved.
No torch.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # USR1: what SLURM's --signal sends
GRACE_S = 20  # a step that takes longer is given up: schedulers kill half a minute after SIGTERM


class Stopped(KeyboardInterrupt):
    """Lightning shuts down as it does for Ctrl+C, and ends the run's other processes."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number  # as shells have it: 130, 143, 138


_waits = False  # whether a fit is under way
_asked: int | None = None


def listen() -> None:
    """From here on the signals raise Stopped."""
    for number in SIGNALS:
        signal.signal(number, _handle)


@contextmanager
def after_the_step() -> Iterator[None]:
    """The first signal only makes `asked()` true, so that a step or a save ends whole; the second
    one, or GRACE_S, raises Stopped. A signal nobody looked for does so at the end.
    """
    global _waits, _asked
    _waits, _asked = True, None
    try:
        yield
    finally:
        _waits = False
        signal.alarm(0)
    if asked():
        now()


def asked() -> bool:
    return _asked is not None


def now() -> NoReturn:
    """Raise Stopped for the signal that came: SIGTERM where another process of the run got it."""
    raise Stopped(signal.SIGTERM if _asked is None else _asked)


def _handle(number: int, _: Any) -> None:
    global _asked
    if not _waits or asked():
        raise Stopped(number)
    _asked = number
    signal.signal(signal.SIGALRM, lambda *_: now())
    signal.alarm(GRACE_S)
