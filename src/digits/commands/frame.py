"""Around every command, and every job wherever a launcher runs it: signals, errors, exit codes."""

import os
import sys
import traceback
from collections.abc import Callable

from digits import signals
from digits.errors import FULL_ERROR, OUR_FAULT, exit_code, peer_is_gone
from digits.redact import redacted

CODE = "digits_exit_code"  # of an error that was said; it comes with one from another process


def code_of(command: Callable[[], int | None], say: Callable[[Exception], object]) -> int:
    """What a process that runs `command` exits with: its result (None is 0), or 1 our fault; 2
    wrong input; 130 Ctrl+C; 143 SIGTERM; 138 SIGUSR1. `say` is told of errors, each once.
    """
    signals.listen()
    try:
        return command() or 0
    except signals.Stopped as stopped:
        return stopped.exit_code
    except Exception as error:
        if not hasattr(error, CODE):
            say(error)
        return int(getattr(error, CODE, exit_code(error)))


def say(error: Exception, line: str, with_trace: bool | None = None) -> str:
    """Print `line` and, if it is our fault or HYDRA_FULL_ERROR=1 (`with_trace` if given), where it
    comes from, without secrets. Returns the line and the traceback.
    """
    code = exit_code(error)
    setattr(error, CODE, code)
    if with_trace is None:
        with_trace = os.environ.get(FULL_ERROR) == "1"
    is_bug = code == OUR_FAULT and not peer_is_gone(error)
    trace = redacted("".join(traceback.format_exception(error)))
    text = redacted(f"error: {line}")
    print(trace + text if with_trace or is_bug else text, file=sys.stderr)
    return f"{text}\n{trace}"
