"""What counts as wrong input, and how it is said in one line.

Other packages' exceptions are recognised by name: importing Lightning takes 4 s, Hydra 0.3 s.
"""

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from digits.redact import redacted

INPUT_IS_WRONG = 2
OUR_FAULT = 1
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


def flat(text: str) -> str:
    """`text` on one line, without secrets and control characters (a server may have sent it)."""
    lines = map(str.strip, redacted(text).splitlines())
    return "".join(filter(str.isprintable, " ".join(filter(None, lines))))


def shown(value: object) -> str:
    """A setting's value as one writes it on the command line, on one line, without secrets."""
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(shown, value))}]"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in redacted(str(value)))


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
