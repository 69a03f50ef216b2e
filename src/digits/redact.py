"""Secrets that `${oc.env:API_TOKEN}` brings in stay out of what a run prints and writes."""

import re
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

SECRET = re.compile(r"TOKEN|SECRET|PASS|PWD|KEY|CREDENTIAL|AUTH", re.IGNORECASE)

_names: dict[str, str] = {}


def watch() -> None:
    """From here on remember what `oc.env` gives for variables that sound secret."""
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)


def redacted(text: str) -> str:
    for value, name in _names.items():
        text = text.replace(value, f"${{oc.env:{name}}}")
    return text


def _env(name: str, *default: Any) -> Any:
    value = oc.env(name, *default)
    if isinstance(value, str) and len(value) > 3 and SECRET.search(name):
        _names[value] = name
    return value
