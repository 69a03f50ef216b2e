"""Flags on a command line, and what is said of those it doesn't have."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from digits.errors import InputError, flat


def complaint(parser: argparse.ArgumentParser, message: str) -> str:
    """argparse's `message` in one line, with the flag nearest to one that is unknown."""
    unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
    if not unknown:
        return flat(f"{message}; --help shows all")
    if not unknown.startswith("-"):
        return flat(f"{unknown}: expected beside the others, flags before or after them all")
    flag = unknown.partition("=")[0]
    close = get_close_matches(flag, parser._option_string_actions, n=1, cutoff=0.75)
    hint = f"did you mean {close[0]}?" if close else "--help shows all"
    return flat(f"{flag}: no such flag; {hint}")


def of_hydra(words: Sequence[str]) -> argparse.Namespace:
    """A command line as Hydra takes it apart. Raises InputError for flags it doesn't have."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(complaint(parser, message))

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args(words)


def check_is_question(flags: argparse.Namespace) -> None:
    """Raises InputError if a run or a sweep was asked for, but no job ran."""
    asked = (flags.help, flags.hydra_help, flags.cfg, flags.info, flags.shell_completion)
    if not any(asked) and flags.experimental_rerun is None:
        sweeps = flat(" ".join(word for word in flags.overrides if "(" in word))
        raise InputError(f"{sweeps}: no job to run; expected at least one value")
