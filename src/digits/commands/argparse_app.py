"""The frame of a command that takes arguments rather than settings: predict, serve, export."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from digits.commands import newest
from digits.errors import INPUT_IS_WRONG, code_of, complaint, one_line
from digits.files import ROBUST, home
from digits.imports import look_here_too
from digits.text import flat


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(INPUT_IS_WRONG, f"error: {complaint(self, message)}\n")


def add_ckpt(parser: argparse._ActionsContainer, default: str = "latest") -> None:
    parser.add_argument(
        "--ckpt",
        metavar="PATH|latest|robust",
        default=default,
        help="a checkpoint written by train.py; latest is the newest run's, robust the one that "
        f"comes with the package (default: {default})",
    )


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config-dir",
        action="append",
        default=[],
        metavar="DIR",
        type=_folder,
        help="where configs of your own are, if the checkpoint is of a model of yours",
    )


def _folder(text: str) -> str:
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return os.path.abspath(text)


def checkpoint_path(ckpt: str) -> str:
    """Return the path that `--ckpt` names. Raises InputError if there is no checkpoint."""
    if ckpt == "robust":
        return str(ROBUST)
    return str(newest.checkpoint(ckpt, str(home() / "outputs")))


def whole_number(low: int, high: int, expected: str) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number from `low` to `high`."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text}: expected {expected}")

    return read


def run(parser: Parser, task: Callable[[argparse.Namespace], int | None]) -> NoReturn:
    """Run `task` on the command line's arguments, and exit as errors.code_of says."""
    for name in ("stdout", "stderr"):  # they may be closed, or can't print some characters
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        setattr(sys, name, stream)
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def command() -> int | None:
        try:
            given = parser.parse_args()
            look_here_too(*map(os.path.dirname, getattr(given, "config_dir", [])))
            code = task(given)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # nobody reads the rest, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    code = code_of(command, _line)
    logging.shutdown()
    sys.exit(code)


def _line(error: Exception) -> str:
    if isinstance(error, OSError):
        return flat(f"{error.filename or 'the output'}: {error.strerror or error}")
    return one_line(error).replace("ckpt_path=", "--ckpt ")  # these commands call it that
