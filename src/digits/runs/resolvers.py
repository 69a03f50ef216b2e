"""Words in configs that stand for places: ${root:} and ${embedded:}; ${command:train} for how a
command is called.
"""

import sys
from pathlib import Path

from omegaconf import OmegaConf

from digits.files import DATA, home


def register() -> None:
    OmegaConf.register_new_resolver("root", lambda: str(home()), replace=True)
    OmegaConf.register_new_resolver("embedded", lambda: str(DATA), replace=True)
    OmegaConf.register_new_resolver("command", called, replace=True)


def called(name: str) -> str:
    """As it was typed: `python src/train.py` or `digits-train`."""
    installed = Path(sys.argv[0]).stem.startswith("digits-")
    return f"digits-{name}" if installed else f"python src/{name}.py"
