"""What counts as wrong input, how it is said in one line, and what a process exits with.

Other packages' exceptions are recognised by name: importing Lightning takes 4 s, Hydra 0.3 s.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

from digits import signals
from digits.text import flat, redacted, shown

if TYPE_CHECKING:
    import argparse

INPUT_IS_WRONG = 2
OUR_FAULT = 1
Explain = Callable[[Exception], str | None]
FULL_ERROR = "HYDRA_FULL_ERROR"  # of the environment; 1 brings tracebacks back


class InputError(ValueError):
    """A setting, file or checkpoint is wrong: its name, what was given, what is accepted."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


@contextmanager
def blaming(setting: str, *packages: str) -> Iterator[None]:
    """Raises InputError, for `setting`, where code of `packages` (of any) refuses a value."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError) or (packages and not _raised_by(error, *packages)):
            raise
        raise InputError(f"{setting}: {flat(str(error))}") from error


def exit_code(error: BaseException) -> int:
    """2 when the input is to blame (settings, files, a full disk), 1 when we are."""
    blames_input = (
        isinstance(_unwrapped(error), InputError | OSError)
        or _is(error, "HydraException", "OmegaConfBaseException", "MisconfigurationException")
        or _raised_by(error, "hydra", "omegaconf", "antlr4")  # their parsers have a dozen kinds
    )
    return INPUT_IS_WRONG if blames_input else OUR_FAULT


def is_bug(error: BaseException) -> bool:
    return exit_code(error) == OUR_FAULT and not _peer_is_gone(error)


def one_line(error: BaseException) -> str:
    """The error as one line, without the advice on tracebacks that frameworks add."""
    error = _unwrapped(error)
    text, cause = str(error), error.__cause__
    if _is(error, "MissingConfigException"):
        text, *_ = text.partition("Config search path")
        if options := getattr(error, "options", None):
            group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
            return f"{group or 'config'}={name}: no such config; there are: {', '.join(options)}"
    if _is(error, "InstantiationException"):
        reason, _, key = text.rpartition("full_key: ")
        return f"{key}: {one_line(cause) if cause else flat(reason)}"
    if _peer_is_gone(error):
        return "another process of the run has ended; resume=FOLDER goes on from its checkpoint"
    if text.startswith(merging := "Error merging override ") and cause:
        first_line = str(cause).partition("\n")[0]
        return flat(f"{text.removeprefix(merging)}: {first_line}")
    if _is(error, "OverrideParseException"):
        return _not_parsed(str(getattr(error, "override", "")), text.partition("\n")[0])
    if isinstance(error, OSError) and error.errno:  # of a run's files: others raise InputError
        return flat(
            f"cannot write {error.filename or 'the run folder'}: {error.strerror or error}; "
            "paths.outputs_dir=FOLDER writes elsewhere"
        )
    return flat(text) or type(error).__name__


def complaint(parser: "argparse.ArgumentParser", message: str, settings: bool = False) -> str:
    """argparse's `message` in one line, with the flag that an unknown one is nearest to."""
    unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
    if not unknown:
        return flat(f"{message}; --help shows all")
    if not unknown.startswith("-"):
        return flat(f"{unknown}: expected beside the others, flags before or after them all")
    flag, _, value = unknown.partition("=")
    if close := get_close_matches(flag, parser._option_string_actions, n=1, cutoff=0.75):
        hint = f"did you mean {close[0]}?"
    elif settings and (value or "." in flag):  # the command takes them
        hint = f"a setting is written without the dashes: {unknown.lstrip('-')}"
    else:
        hint = "--help shows all"
    return flat(f"{flag}: no such flag; {hint}")


def _peer_is_gone(error: BaseException) -> bool:
    """Of several processes that train together: as gloo and NCCL put it."""
    return isinstance(error, RuntimeError) and "by peer" in str(error)


def _raised_by(error: BaseException, *packages: str) -> bool:
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] in packages


def _is(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _unwrapped(error: BaseException) -> BaseException:
    """The first exception of the chain where OmegaConf hides a resolver's, or logging a disk's."""
    is_wrapper = _is(error, "InterpolationResolutionError") or str(error).startswith(
        "Unable to configure handler"
    )
    first = error
    while first.__context__ is not None:
        first = first.__context__
    return first if is_wrapper and isinstance(first, OSError | InputError) else error


def _not_parsed(override: str, reason: str) -> str:
    """Hydra's grammar takes é or # in quotes only, and no shell leaves those in place."""
    key, _, value = override.partition("=")
    is_quotable = value and value.isprintable() and re.fullmatch(r"[+~]*[\w./]+", key, re.ASCII)
    if "LexerNoViableAlt" in reason and is_quotable:
        is_plain = not set(value) & set("\\'\"[]{},:()")
        quoted = f'"{value}"' if is_plain else '["..."]' if value.startswith("[") else '"..."'
        return f"{shown(override)}: expected quotes around such characters: '{key}={quoted}'"
    return f"{shown(override)}: expected SETTING=VALUE ({flat(reason)})"


def code_of(
    command: Callable[[], int | None], explain: Explain = lambda _: None, stopped: str = ""
) -> int:
    """A process's exit code: what `command` returns (None is 0), or 1 our fault; 2 wrong input; 130
    Ctrl+C; 143 SIGTERM; 138 SIGUSR1. Says an error, or a SystemExit's cause, as `explain` has it,
    and `stopped` of a signal that nobody has told of.
    """
    signals.listen()
    try:
        return command() or 0
    except SystemExit as end:
        if isinstance(end.__cause__, Exception):
            _say(end.__cause__, explain)
        return end.code if isinstance(end.code, int) else 0
    except (signals.Stopped, Exception) as error:
        signal = signals.raised()  # C code that runs Python may make something else of it
        if isinstance(error, signals.Stopped):
            signal = error
        elif signal is None:
            _say(error, explain)
            return exit_code(error)
        if stopped and not signal.is_said:
            print(stopped, file=sys.stderr)
        return signal.exit_code
    finally:
        signals.forget()


def _say(error: Exception, explain: Explain) -> None:
    """One line on stderr; where the error comes from, too, for a bug or as FULL_ERROR asks."""
    if os.environ.get(FULL_ERROR) == "1" or is_bug(error):
        print(trace(error), end="", file=sys.stderr)
    print(redacted(f"error: {explain(error) or one_line(error)}"), file=sys.stderr)


def trace(error: BaseException) -> str:
    return redacted("".join(traceback.format_exception(error)))
