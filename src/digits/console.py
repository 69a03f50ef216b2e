"""The installed commands, such as digits-train. Each runs the program of its name in src/."""

import sys
from functools import partial
from importlib import import_module
from types import ModuleType

from digits import signals
from digits.files import IS_CLONE, ROOT


def program(name: str) -> ModuleType:
    """Import src/`name`.py of a clone, or the installed package's copy of it."""
    if IS_CLONE and (there := str(ROOT / "src")) not in sys.path:
        sys.path.insert(0, there)
    return import_module(name if IS_CLONE else f"digits.scripts.{name}")


def _run(name: str) -> None:
    signals.end_at_once()
    program(name).main()


train, evaluate, predict, serve, export, leaderboard, report, new = (
    partial(_run, name)
    for name in ("train", "eval", "predict", "serve", "export", "leaderboard", "report", "new")
)
