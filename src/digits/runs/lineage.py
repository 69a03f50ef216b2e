"""Where a run comes from: the command, the time, the commit. Secrets are left out."""

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from digits import text
from digits.files import IS_CLONE, ROOT, home
from digits.runs.words import key, own

Facts = dict[str, str | bool]

HIDDEN = "***"
PATIENCE_S = 5  # for git


def facts() -> Facts:
    """`command` as typed, `overrides`, `date` (UTC, ISO 8601), `commit` and `commit_is_clean` of
    the repository or, for an installed package, of the current folder's.
    """
    task = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    given = [word for word in own(task) if key(word) != "seed"]
    return {
        "command": command(),
        "overrides": shlex.join(map(without_secrets, given)),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(ROOT if IS_CLONE else home()),
    }


def command() -> str:
    return shlex.join(map(without_secrets, sys.orig_argv))


def without_secrets(word: str) -> str:
    """A word of a command line; KEY=VALUE loses a value whose key sounds secret."""
    key, _, value = word.partition("=")
    if value and text.sounds_secret(key):
        return f"{key}={HIDDEN}"
    return text.redacted(text.without_passwords(word))


def settings(cfg: DictConfig) -> str:
    """All of a run's, as YAML, without Hydra's own."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    plain.pop("hydra", None)
    return text.redacted(yaml.safe_dump(_without_secrets(plain), sort_keys=False))


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(inside, str(key)) for key, inside in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inside, name) for inside in value]
    return HIDDEN if value is not None and text.sounds_secret(name) else value


def commit(folder: Path) -> Facts:
    """Nothing outside a repository, or without git."""
    words = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(
            words, env=environment, capture_output=True, check=True, timeout=PATIENCE_S, text=True
        ).stdout.splitlines()
        ids = [line.split()[-1] for line in said if line.startswith("# branch.oid ")]
        if ids and ids[0] != "(initial)":
            return {"commit": ids[0], "commit_is_clean": all(line[:1] == "#" for line in said)}
    return {}
