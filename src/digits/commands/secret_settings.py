"""Secrets that `${oc.env:NAME}` brings into settings stay out of texts and names of files."""

import os
import re
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.resolvers import oc

from digits import redact
from digits.errors import InputError
from digits.redact import redacted

NAMES_A_FILE = re.compile(
    r"(.*[._])?(dir|dirpath|subdir|file|filename|path|root|name|version|prefix)"
)


def watch() -> None:
    """From here on what `oc.env` gives for variables that sound secret is kept out of texts, and
    refused where it would name a file.
    """
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)
    redact.redact_logs()


def check_names(cfg: DictConfig, prefix: str = "") -> None:
    """Raises InputError where a secret came into a file's name by way of another setting."""
    for key in map(str, cfg):
        value, name = cfg.get(key), f"{prefix}{key}"
        if isinstance(value, DictConfig):
            check_names(value, f"{name}.")
        elif isinstance(value, str) and NAMES_A_FILE.fullmatch(name) and redacted(value) != value:
            raise _in_a_name(name, redacted(value))


def _env(name: str, *default: Any, _node_: Node) -> Any:
    if redact.sounds_secret(name) and name in os.environ:
        redact.remember([name])
        key = _node_._get_full_key("")
        if NAMES_A_FILE.fullmatch(key):
            raise _in_a_name(key, _node_._value())
    return oc.env(name, *default)


def _in_a_name(key: str, value: object) -> InputError:
    return InputError(f"{key}={value}: a file's name; expected no secret in it")
