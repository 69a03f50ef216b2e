"""What a process exits with, and the one line that an error is, wherever a command runs."""

import os
import sys
import traceback
from collections.abc import Callable

from digits import signals
from digits.errors import FULL_ERROR, OUR_FAULT, exit_code, one_line, peer_is_gone
from digits.redact import redacted

Explain = Callable[[Exception], str | None]


def of(command: Callable[[], int | None], explain: Explain = lambda _: None) -> int:
    """What a process that runs `command` exits with: its result (None is 0), or 1 our fault; 2
    wrong input; 130 Ctrl+C; 143 SIGTERM; 138 SIGUSR1. An error, or the cause of a SystemExit, is
    said in a line, as `explain` has it.
    """
    signals.listen()
    full = os.environ.get(FULL_ERROR) == "1"
    try:
        return command() or 0
    except signals.Stopped as stopped:
        return stopped.exit_code
    except SystemExit as end:
        if isinstance(end.__cause__, Exception):
            say(end.__cause__, explain(end.__cause__), full)
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if number := signals.raised():  # C code makes something else of it
            return signals.Stopped(number).exit_code
        return say(error, explain(error), full)


def say(error: Exception, line: str | None, with_trace: bool) -> int:
    """Print the error's `line` and, if it is our fault or asked for `with_trace`, where it comes
    from, without secrets. Returns the exit code.
    """
    code = exit_code(error)
    is_bug = code == OUR_FAULT and not peer_is_gone(error)
    text = redacted(f"error: {line or one_line(error)}")
    print((trace(error) if with_trace or is_bug else "") + text, file=sys.stderr)
    return code


def trace(error: BaseException) -> str:
    return redacted("".join(traceback.format_exception(error)))
