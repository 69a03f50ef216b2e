"""The frame of a command that takes arguments rather than settings: predict, serve, export."""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from digits import signals
from digits.commands import flags
from digits.errors import FULL_ERROR, INPUT_IS_WRONG, OUR_FAULT, exit_code, flat, one_line
from digits.files import ROOT
from digits.runs import folder


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are one line here."""

    def error(self, message: str) -> NoReturn:
        self.exit(INPUT_IS_WRONG, f"error: {flags.complaint(self, message)}\n")


def add_ckpt(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--ckpt",
        metavar="PATH|latest",
        default="latest",
        help="a checkpoint of train.py's; latest (default) is the newest run's",
    )


def checkpoint_path(ckpt: str) -> str:
    """Raises InputError where `--ckpt` names none."""
    return str(folder.find(ckpt, str(ROOT / "outputs")))


def run(parser: Parser, task: Callable[[argparse.Namespace], int | None]) -> NoReturn:
    """Exit with what `task` makes of the command line: its result (None is 0); 1 our fault; 2 wrong
    input, said in one line on stderr; 130 Ctrl+C; 143 SIGTERM. HYDRA_FULL_ERROR=1 brings tracebacks
    back.
    """
    signals.listen()
    _say_anything()
    try:
        code = task(parser.parse_args()) or 0
        sys.stdout.flush()
    except signals.Stopped as stopped:
        code = stopped.exit_code
    except BrokenPipeError:  # `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        code = exit_code(error)
        if code == OUR_FAULT or os.environ.get(FULL_ERROR) == "1":
            traceback.print_exc()
        print(f"error: {_said(error)}", file=sys.stderr)
    logging.shutdown()
    sys.exit(code)


def _say_anything() -> None:
    """Whatever a terminal or a log can't show, or a closed stream, is no reason to fail."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return flat(f"{error.filename or 'the output'}: {error.strerror or error}")
    return one_line(error).replace("ckpt_path=", "--ckpt ")  # as it is called here
