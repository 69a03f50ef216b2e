"""The installed commands, digits-train and so on: each runs the program of src/ with its name."""

import sys
from functools import partial
from importlib import import_module

from digits.files import IS_CLONE, ROOT


def _run(name: str) -> None:
    if IS_CLONE:
        sys.path.insert(0, str(ROOT / "src"))
    import_module(name if IS_CLONE else f"digits.scripts.{name}").main()


train, evaluate, predict, serve, export = (
    partial(_run, name) for name in ("train", "eval", "predict", "serve", "export")
)
