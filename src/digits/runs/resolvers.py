"""Words in configs that stand for places: ${root:} and ${embedded:}; ${command:train} for how a
command is called.
"""

from omegaconf import OmegaConf

from digits.files import DATA, called, home


def register() -> None:
    OmegaConf.register_new_resolver("root", lambda: str(home()), replace=True)
    OmegaConf.register_new_resolver("embedded", lambda: str(DATA), replace=True)
    OmegaConf.register_new_resolver("command", called, replace=True)
