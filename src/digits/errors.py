"""Which errors are wrong input, how one line reports an error, and which exit code it has.

Other packages' exceptions are recognised by name: importing Lightning takes 4 s, Hydra 0.3 s.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from errno import EDQUOT, EFBIG, ENOSPC, EROFS
from typing import TYPE_CHECKING

from digits import signals
from digits.files import PACKAGE, relative
from digits.text import flat, redacted, shown

if TYPE_CHECKING:
    import argparse

INPUT_IS_WRONG = 2
OUR_FAULT = 1
Explain = Callable[[Exception], str | None]
SITE = re.compile(r"[/\\](site|dist)-packages[/\\]|^<")  # of any environment, or no file
IN_A_WORKER = re.compile(r'^  File "(.+)", line (\d+), in ', re.MULTILINE)  # of a loader, as text
FULL_ERROR = "HYDRA_FULL_ERROR"  # an environment variable; 1 brings tracebacks back
HINT = f"; {FULL_ERROR}=1 shows the traceback"


class InputError(ValueError):
    """A setting, file or checkpoint is wrong. The text names it, its value and what is accepted."""


class OwnClassError(InputError):
    """Lightning or torch complains of a class of somebody's own, outside of its code."""


class DivergedError(InputError):
    """The loss is no longer a finite number."""


@contextmanager
def blaming(setting: str, *packages: str) -> Iterator[None]:
    """Raises InputError for `setting` if code of `packages` (without them: any) refuses a value."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError) or (packages and not _raised_by(error, *packages)):
            raise
        raise InputError(f"{setting}: {flat(str(error))}") from error


def exit_code(error: BaseException) -> int:
    """Return 2 if the input is to blame (settings, files, a full disk), 1 if this program is."""
    blames_input = (
        isinstance(_unwrapped(error), InputError | OSError)
        or _is(error, "HydraException", "OmegaConfBaseException", "MisconfigurationException")
        or _raised_by(error, "hydra", "omegaconf", "antlr4")  # their parsers raise a dozen kinds
        or happened(error)
    )
    return INPUT_IS_WRONG if blames_input else OUR_FAULT


def is_bug(error: BaseException) -> bool:
    return exit_code(error) == OUR_FAULT and not _peer_is_gone(error)


def happened(error: BaseException) -> bool:
    """Whether code of somebody's own raised it, or memory ran out: no setting was refused."""
    return bool(isinstance(error, OwnClassError) or _is_out_of_memory(error) or where(error))


def where(error: BaseException) -> str | None:
    """Return the line of somebody's own code that raised the error, or called what did, as
    net.py:31; None of wrong input, a full disk, and what no such code has to do with.
    """
    is_disk = isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EFBIG, EROFS)
    if is_disk or isinstance(error, InputError):
        return None
    import sysconfig  # no command needs it that goes well

    folders = PACKAGE.parent, sysconfig.get_path("stdlib")  # this package is a library, too
    libraries = tuple(os.path.realpath(folder) + os.sep for folder in folders)
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    frames += IN_A_WORKER.findall(str(error))
    for file, line in reversed(frames):
        if not SITE.search(file) and not os.path.realpath(file).startswith(libraries):
            return f"{relative(file)}:{line}"
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's, NumPy's, CUDA's, and a CPU's, which torch tells in a RuntimeError's text."""
    text = str(error) if isinstance(error, RuntimeError) else ""
    return _is(error, "MemoryError", "OutOfMemoryError") or "llocate memory" in text


def one_line(error: BaseException) -> str:
    """Return the error as one line, without the advice on tracebacks that frameworks add."""
    error = _unwrapped(error)
    text, cause = str(error), error.__cause__
    if _is(error, "MissingConfigException"):
        text, *_ = text.partition("Config search path")
        if options := getattr(error, "options", None):
            group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
            return f"{group or 'config'}={name}: no such config; there are: {', '.join(options)}"
    if _is(error, "InstantiationException"):
        reason, _, key = text.rpartition("full_key: ")
        said = one_line(cause) if cause else flat(reason)
        return said if said.startswith(f"{key}.") else f"{key}: {said}"
    if _is_out_of_memory(error):
        at = f" at {line}" if (line := where(error)) else ""
        return (
            f"out of memory{at}: a smaller data.batch_size or model needs less, and "
            "trainer.accumulate_grad_batches keeps the step's size"
        )
    if line := where(error):
        said = (text.strip() or "no text").splitlines()[-1 if IN_A_WORKER.search(text) else 0]
        kind = "" if said.startswith(type(error).__name__) else f"{type(error).__name__}: "
        return flat(f"{line}: {kind}{said}{HINT}")
    if _peer_is_gone(error):
        return "another process of the run has ended; resume=FOLDER goes on from its checkpoint"
    if text.startswith(merging := "Error merging override ") and cause:
        first_line = str(cause).partition("\n")[0]
        return flat(f"{text.removeprefix(merging)}: {first_line}")
    if _is(error, "OverrideParseException"):
        return _not_parsed(str(getattr(error, "override", "")), text.partition("\n")[0])
    if isinstance(error, OSError) and error.errno:  # a run's file: for others InputError is raised
        return flat(
            f"cannot write {error.filename or 'the run folder'}: {error.strerror or error}; "
            "paths.outputs_dir=FOLDER writes elsewhere"
        )
    return flat(text) or type(error).__name__


def complaint(parser: "argparse.ArgumentParser", message: str, settings: bool = False) -> str:
    """Return argparse's `message` as one line; for an unknown flag, with the most similar one."""
    unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
    if not unknown:
        return flat(f"{message}; --help shows all")
    if not unknown.startswith("-"):
        return flat(f"{unknown}: expected beside the others, flags before or after them all")
    flag, _, value = unknown.partition("=")
    if close := get_close_matches(flag, parser._option_string_actions, n=1, cutoff=0.75):
        hint = f"did you mean {close[0]}?"
    elif settings and (value or "." in flag):  # the command takes settings
        hint = f"a setting is written without the dashes: {unknown.lstrip('-')}"
    else:
        hint = "--help shows all"
    return flat(f"{flag}: no such flag; {hint}")


def _peer_is_gone(error: BaseException) -> bool:
    """Whether gloo or NCCL says that another process of distributed training has ended."""
    return isinstance(error, RuntimeError) and "by peer" in str(error)


def _raised_by(error: BaseException, *packages: str) -> bool:
    frames = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].partition(".")[0] in packages


def _is(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _unwrapped(error: BaseException) -> BaseException:
    """Return the first exception of the chain if OmegaConf or logging has wrapped it."""
    is_wrapper = _is(error, "InterpolationResolutionError") or str(error).startswith(
        "Unable to configure handler"
    )
    first = error
    while first.__context__ is not None:
        first = first.__context__
    return first if is_wrapper and isinstance(first, OSError | InputError) else error


def _not_parsed(override: str, reason: str) -> str:
    """Explain what Hydra can't parse: it takes é or # in quotes only, which shells remove."""
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
    """Return a process's exit code: that of `command` (None is 0), 1 for our fault, 2 for wrong
    input, 130 for Ctrl+C, 143 for SIGTERM, 138 for SIGUSR1. Prints an error, or a SystemExit's
    cause, as `explain` words it; prints `stopped` for a signal that nobody has reported.
    """
    signals.listen()
    try:
        return command() or 0
    except SystemExit as end:
        if isinstance(end.__cause__, Exception):
            _say(end.__cause__, explain)
        return end.code if isinstance(end.code, int) else 0
    except (signals.Stopped, Exception) as error:
        signal = signals.raised()  # C code that runs Python may turn it into another error
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
    """Print one line on stderr; before it, for a bug or if FULL_ERROR asks, the traceback."""
    if os.environ.get(FULL_ERROR) == "1" or is_bug(error):
        print(trace(error), end="", file=sys.stderr)
    print(redacted(f"error: {explain(error) or one_line(error)}"), file=sys.stderr)


def trace(error: BaseException) -> str:
    return redacted("".join(traceback.format_exception(error)))
