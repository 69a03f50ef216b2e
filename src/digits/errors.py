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
from typing import TYPE_CHECKING, Any

from digits import signals
from digits.text import flat, redacted, shown

if TYPE_CHECKING:
    import argparse

INPUT_IS_WRONG = 2
OUR_FAULT = 1
Explain = Callable[[Exception], str | None]
FULL_ERROR = "HYDRA_FULL_ERROR"  # of the environment; 1 brings tracebacks back


class InputError(ValueError):
    """A setting, file or checkpoint is wrong; the message names it, what was given, what is
    accepted.
    """


class DivergedError(InputError):
    """The loss is no longer a finite number."""


@contextmanager
def blaming(setting: str, *packages: str) -> Iterator[None]:
    """Raises InputError, for `setting`, where code of `packages` (any, if none is named) refuses a
    value.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError) or (packages and not raised_by(error, *packages)):
            raise
        raise InputError(f"{setting}: {flat(str(error))}") from error


def exit_code(error: BaseException) -> int:
    """2 when the input is to blame (settings, files, a full disk), 1 when we are."""
    blames_input = (
        isinstance(error, InputError | OSError)
        or _is(error, "HydraException", "OmegaConfBaseException", "MisconfigurationException")
        or _log_file_fails(error)
        or raised_by(error, "hydra", "omegaconf", "antlr4")  # their parsers have a dozen kinds
    )
    return INPUT_IS_WRONG if blames_input else OUR_FAULT


def one_line(error: BaseException) -> str:
    """The error as one line, without the advice on tracebacks that frameworks add."""
    if _is(error, "MissingConfigException") and getattr(error, "missing_cfg_file", None):
        return _missing_config(error)
    if _is(error, "InstantiationException"):
        reason, _, key = str(error).rpartition("full_key: ")
        return f"{key}: {one_line(error.__cause__) if error.__cause__ else flat(reason)}"
    if _is(error, "InterpolationResolutionError") and isinstance(
        _origin(error), OSError | InputError
    ):
        return one_line(_origin(error))
    if peer_is_gone(error):
        return "another process of the run has ended; resume=FOLDER goes on from its checkpoint"
    if _log_file_fails(error):
        return one_line(_origin(error))
    if str(error).startswith(merging := "Error merging override ") and error.__cause__:
        reason, *_ = str(error.__cause__).splitlines()
        return flat(f"{str(error).removeprefix(merging)}: {reason}")
    if _is(error, "OverrideParseException"):
        return _not_parsed(str(getattr(error, "override", "")), str(error).partition("\n")[0])
    if isinstance(error, OSError) and error.errno:  # of a run's files: others raise InputError
        return flat(
            f"cannot write {error.filename or 'the run folder'}: {error.strerror or error}; "
            "paths.outputs_dir=FOLDER writes elsewhere"
        )
    return flat(str(error)) or type(error).__name__


def complaint(parser: "argparse.ArgumentParser", message: str, settings: bool = False) -> str:
    """argparse's `message` in one line, with the flag nearest to one that is unknown. A command
    that takes `settings` takes them without dashes.
    """
    unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
    if not unknown:
        return flat(f"{message}; --help shows all")
    if not unknown.startswith("-"):
        return flat(f"{unknown}: expected beside the others, flags before or after them all")
    flag, _, value = unknown.partition("=")
    if close := get_close_matches(flag, parser._option_string_actions, n=1, cutoff=0.75):
        hint = f"did you mean {close[0]}?"
    elif settings and (value or "." in flag):
        hint = f"a setting is written without the dashes: {unknown.lstrip('-')}"
    else:
        hint = "--help shows all"
    return flat(f"{flag}: no such flag; {hint}")


def peer_is_gone(error: BaseException) -> bool:
    """Of several processes that train together: as gloo and NCCL put it."""
    return isinstance(error, RuntimeError) and "by peer" in str(error)


def raised_by(error: BaseException, *packages: str) -> bool:
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] in packages


def _is(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _log_file_fails(error: BaseException) -> bool:
    """logging's word for a disk that is full or read-only."""
    says_so = str(error).startswith("Unable to configure handler")
    return says_so and isinstance(_origin(error), OSError)


def _origin(error: BaseException) -> BaseException:
    """What the first exception of the chain was: OmegaConf hides what a resolver raised."""
    return error if error.__context__ is None else _origin(error.__context__)


def _not_parsed(override: str, reason: str) -> str:
    """Hydra's grammar takes é or # in quotes only, and no shell leaves those in place."""
    key, _, value = override.partition("=")
    is_quotable = value and value.isprintable() and re.fullmatch(r"[+~]*[\w./]+", key, re.ASCII)
    if "LexerNoViableAlt" in reason and is_quotable:
        is_plain = not set(value) & set("\\'\"[]{},:()")
        quoted = f'"{value}"' if is_plain else '["..."]' if value.startswith("[") else '"..."'
        return f"{shown(override)}: expected quotes around such characters: '{key}={quoted}'"
    return f"{shown(override)}: expected SETTING=VALUE ({flat(reason)})"


def _missing_config(error: Any) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    if not error.options:
        return flat(str(error).partition("Config search path")[0])
    there_are = ", ".join(error.options)
    return f"{group or 'config'}={name}: no such config; there are: {there_are}"


def code_of(command: Callable[[], int | None], explain: Explain = lambda _: None) -> int:
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
