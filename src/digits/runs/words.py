"""A command line, parsed once into Hydra's flags and words of the form KEY=VALUE."""

import argparse
import io
import os
import re
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

# A private function: no public one knows which words of a command line are flags
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from digits.errors import InputError, complaint

BACKSLASH = "\\"
# They say where a run or a sweep is, or are for the sweep alone: a run does not inherit them
OF_THE_FOLDER = (
    "resume",
    "sweep",
    "fail_fast",
    "task_name",
    "paths.outputs_dir",
    "hydra.run.dir",
    "hydra.sweep.dir",
)
QUESTIONS = ("help", "hydra_help", "cfg", "info", "shell_completion", "experimental_rerun")


@dataclass(frozen=True)
class Words:
    """The words typed after a command's name: `flags` are Hydra's, `overrides` all others."""

    flags: argparse.Namespace
    overrides: tuple[str, ...]

    @classmethod
    def parse(cls, given: Sequence[str]) -> "Words":
        """Parse the words. Raises InputError for an unknown flag, or a word that is no override."""
        parser, said = get_args_parser(), io.StringIO()
        try:
            with redirect_stderr(said):
                flags = parser.parse_args(given)
        except SystemExit as end:
            if not end.code:  # --version has printed it
                raise
            message = said.getvalue().partition(": error: ")[2].strip()
            raise InputError(complaint(parser, message, settings=True)) from None
        return cls(flags, tuple(vars(flags).pop("overrides")))

    @property
    def asks(self) -> bool:
        """Whether the command asks Hydra a question (--help, --cfg) instead of running a job."""
        return any(getattr(self.flags, name) for name in QUESTIONS)

    @property
    def is_sweep(self) -> bool:
        return bool(self.flags.multirun) or self.value("hydra.mode") == "MULTIRUN"

    @cached_property
    def parsed(self) -> list[Override]:
        """Return the parsed overrides. Raises Hydra's exception for a word that is none."""
        return OverridesParser.create().parse_overrides(list(self.overrides))

    def value(self, key: str) -> Any:
        """Return the value of the last word with `key`, as Hydra parses it; None without one."""
        given = [o.value() for o in self.parsed if o.key_or_group == key and not o.is_delete()]
        return given[-1] if given else None

    def config_dirs(self) -> list[str]:
        return [os.path.abspath(self.flags.config_dir)] if self.flags.config_dir else []

    def keys(self) -> set[str]:
        return {key(word) for word in self.overrides}

    def without(self, keys: Collection[str]) -> "Words":
        return replace(self, overrides=tuple(w for w in self.overrides if key(w) not in keys))

    def after(self, before: Sequence[str]) -> "Words":
        """Return the words with overrides put `before` these, which win because they come last."""
        return replace(self, overrides=(*before, *self.overrides))

    def argv(self) -> list[str]:
        return [*self.flag_words(), *self.overrides]

    def flag_words(self, only: str = "") -> list[str]:
        """Return the flags, whose name begins with `only`, as one types them."""
        told = []
        for name, value in vars(self.flags).items():
            if name.startswith(only) and value not in (None, False):
                flag = f"--{name.replace('_', '-')}"
                told.append(flag if value is True else f"{flag}={value}")
        return told


def key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def value_text(word: str) -> str:
    """Return the value of a word as it is written, without quotes around it."""
    return unquoted(word.partition("=")[2])


def quoted(text: object) -> str:
    """Return any text, such as a path, quoted for Hydra's command line."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", str(text))
    return f"'{escaped}{escaped[len(escaped.rstrip(BACKSLASH)) :]}'"


def unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        halved = r"(\\*)\1\\?(?=['\"]|$)"  # backslashes before a quote; others stand for themselves
        return re.sub(halved, r"\1", text[1:-1])
    return text


def own(words: Sequence[str]) -> list[str]:
    """Return the words that are a run's settings, less those of OF_THE_FOLDER."""
    return [word for word in words if key(word) not in OF_THE_FOLDER]
