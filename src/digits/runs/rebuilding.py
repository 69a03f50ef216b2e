"""The model and the data of a run, from what it recorded, as words for the command line.

A run's folder may come from anyone. So classes are those of the configs that the recorded groups
name (model=cnn); of other settings plain values are taken over.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig

from digits.errors import InputError, one_line
from digits.files import CONFIGS, read_at_most
from digits.runs import resolvers
from digits.runs.folder import RunFolder
from digits.runs.overrides import names_a_file, quoted

MAX_BYTES = 1 << 16  # of a recorded file: ours have 3 KB
MAX_WORDS = 256
GROUPS = ("model", "data")
_NAME = re.compile(r"[a-zA-Z]\w*([/.][a-zA-Z]\w*)*")

OURS = "digits.model.classifier.DigitClassifier"
TARGET, NET = "model._target_", "model.net._target_"


def words(run: RunFolder) -> list[str]:
    """What chooses the run's model and data. Raises InputError for a damaged record; nothing is
    recorded of a checkpoint outside a run's folder.
    """
    choices = _read(run, run.hydra / "hydra.yaml").get("hydra", {})
    for name in ("runtime", "choices"):
        choices = choices.get(name, {}) if isinstance(choices, dict) else {}
    config = _read(run, run.config)
    chosen = [f"{group}={option}" for group, option in _chosen(choices)]
    try:
        groups = {group: config[group] for group in GROUPS if isinstance(config.get(group), dict)}
        values = [word for group, node in groups.items() for word in _values(node, group)]
    except RecursionError as error:  # a mapping that holds itself
        raise InputError(f"{run.config}: no run's settings, or damaged") from error
    if len(chosen) + len(values) > MAX_WORDS:
        raise InputError(f"{run.config}: more settings than a model and its data have")
    return [*chosen, *values]


def _chosen(choices: Any) -> Iterator[tuple[str, str]]:
    for group, option in choices.items() if isinstance(choices, dict) else ():
        is_name = isinstance(option, str) and re.fullmatch(r"\w+(/\w+)*", option)
        if is_name and _NAME.fullmatch(str(group)) and str(group).partition("/")[0] in GROUPS:
            yield str(group), option


def _values(node: Any, name: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if _NAME.fullmatch(str(key)) and not names_a_file(f"{name}.{key}="):
                yield from _values(value, f"{name}.{key}")
    elif (text := _written(node)) is not None:
        yield f"++{name}={text}"


def _written(value: Any) -> str | None:
    """As the command line takes it; None for what is no plain value, or computed from others."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return None if "${" in value else quoted(value)
    if isinstance(value, list):
        parts = list(map(_written, value))
        return None if None in parts else f"[{','.join(map(str, parts))}]"
    return None


def _read(run: RunFolder, path: Any) -> dict[str, Any]:
    try:
        content = yaml.safe_load(read_at_most(path, MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: no run's settings, or damaged") from error
    return content if isinstance(content, dict) else {}


def is_ours(content: dict[str, Any]) -> bool:
    """Whether a checkpoint's model is the project's, with its network: its sizes tell all."""
    settings = content.get("settings", {})
    return settings.get(TARGET, OURS).endswith(".DigitClassifier") and NET not in settings


def model_config(run: RunFolder | None, config_dirs: Sequence[str] = ()) -> DictConfig:
    """The settings of a run's model, in the project's configs and those of `config_dirs`. Raises
    InputError for a group that is in none.
    """
    import hydra
    import hydra.errors

    resolvers.register()
    asked = words(run) if run else []
    searched = ",".join(quoted(f"file://{folder}") for folder in config_dirs)
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = hydra.compose("eval", [*asked, f"hydra.searchpath=[{searched}]"])
    except hydra.errors.MissingConfigException as error:
        raise InputError(f"{one_line(error)}; --config-dir=DIR says where yours are") from error
    model: DictConfig = cfg.model
    return model
