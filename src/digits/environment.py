"""`${oc.env:NAME}` in settings, which may bring a secret in."""

import os
import re
from typing import Any

from omegaconf import Node, OmegaConf
from omegaconf.resolvers import oc

from digits import redact
from digits.errors import InputError

NAMES_A_FILE = re.compile(
    r"(.*[._])?(dir|dirpath|subdir|file|filename|path|root|name|version|prefix)"
)


def watch() -> None:
    """From here on what `oc.env` gives for variables that sound secret is kept out of texts, and
    refused where it would name a file.
    """
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)
    redact.redact_logs()


def _env(name: str, *default: Any, _node_: Node) -> Any:
    if redact.sounds_secret(name) and name in os.environ:
        redact.remember([name])
        key = _node_._get_full_key("")
        if NAMES_A_FILE.fullmatch(key):
            given = f"{key}={_node_._value()}"
            raise InputError(f"{given}: a file's name; expected no secret in it")
    return oc.env(name, *default)
