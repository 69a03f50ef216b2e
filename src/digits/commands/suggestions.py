"""What to say of a setting that does not exist."""

import inspect
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from pydoc import locate

import hydra
import yaml
from omegaconf import DictConfig, OmegaConf

from digits import imports
from digits.imports import importing
from digits.runs import configs, recipe
from digits.runs.words import key as key_of

SEE = "--cfg job shows all"


def explain(
    error: Exception, config_dirs: Sequence[str], config_name: str, words: Sequence[str]
) -> str | None:
    """Return a line on the setting in `words` that does not exist, with what the user may have
    meant; None for any other error. The project's folder is the first of `config_dirs`.
    """
    given = {key_of(word): word for word in words}
    if str(error).startswith("Config group override must be a string or a list"):
        return _no_option(given, config_dirs)
    unknown = re.match(r"Could not override '(.+?)'", str(error))
    if unknown is None:
        return None
    key = unknown[1]
    cfg = _composed(config_dirs, config_name, words)
    known = [name for name in recipe.keys(cfg) if name.partition(".")[0] != "hydra"]
    group, _, name = key.rpartition(".")
    if key in known:
        return f"{key}: no such setting in the groups chosen; {SEE}"
    target = OmegaConf.select(cfg, f"{group}._target_")
    if target and name in _parameters(target):
        file = f"{group}/{cfg.hydra.runtime.choices.get(group)}.yaml"
        own = any(Path(folder, file).is_file() for folder in config_dirs[1:])
        write = f"`{shlex.quote('+' + given.get(key, f'{key}=VALUE'))}`"
        return f"{key}: not listed: write {write}" + (f", or add it to {file}" if own else "")
    options = _options(config_dirs)
    if option := options.get(key) or (group not in known and options.get(group)):
        return f"{key}: comes with {option}; expected that, too"
    meant = " or ".join(_nearest(key, known))
    return f"{key}: no such setting; " + (f"did you mean {meant}?" if meant else SEE)


def _no_option(given: Mapping[str, str], config_dirs: Sequence[str]) -> str | None:
    """Return what to say of a group that was set to null, true or false; None without one."""
    for group, word in given.items():
        options = {path.stem for folder in config_dirs for path in Path(folder, group).glob("*.y*")}
        if options and word.partition("=")[2] in ("null", "true", "false"):
            return f"{word}: no such config; there are: {', '.join(sorted(options))}"
    return None


def _nearest(key: str, known: Sequence[str]) -> Sequence[str]:
    last, lasts = key.rpartition(".")[2], {name: name.rpartition(".")[2] for name in known}
    alike = get_close_matches(last, lasts.values(), n=1, cutoff=0.75)
    found = (
        [name for name in known if lasts[name] == last]
        or get_close_matches(key, known, n=1, cutoff=0.8)
        or [name for name in known if last in lasts[name].split("_")]
        or [name for name in known if lasts[name] in alike]
    )
    return found if len(found) <= 3 else []  # a longer list helps nobody


def _composed(config_dirs: Sequence[str], config_name: str, words: Sequence[str]) -> DictConfig:
    """Return the settings with the groups that `words` choose, if these can be composed."""
    first, *more = config_dirs
    groups = {path.name for folder in config_dirs for path in Path(folder).iterdir()}
    chosen = [word for word in words if key_of(word).partition("/")[0] in groups]
    with configs.own_first(more), hydra.initialize_config_dir(first, version_base="1.3"):
        with suppress(Exception):  # the next call reports this other error
            return hydra.compose(config_name, chosen, return_hydra_config=True)
        return hydra.compose(config_name, return_hydra_config=True)


def _parameters(target: str) -> Iterator[str]:
    """Yield a class's parameters and, if it passes **options on, those of its base classes."""
    with importing():
        imports.import_lightning()  # every class of a command needs it
        found = locate(target)
    for kind in getattr(found, "__mro__", [found] if callable(found) else []):
        parameters = inspect.signature(kind).parameters
        yield from parameters
        if not any(each.kind == each.VAR_KEYWORD for each in parameters.values()):
            return


def _options(config_dirs: Sequence[str]) -> dict[str, str]:
    """Return all settings of all groups' options, each with the option that brings it: if several
    do, with the one that is chosen by default.
    """
    found: dict[str, str] = {}
    defaults = yaml.safe_load(Path(config_dirs[0], "train.yaml").read_text())["defaults"]
    usual = {Path(*pair) for each in defaults if isinstance(each, dict) for pair in each.items()
             if pair[1]}  # fmt: skip
    for folder in config_dirs:
        files = Path(folder).rglob("*/*.yaml")
        of = {path: path.relative_to(folder).with_suffix("") not in usual for path in files}
        for path in sorted(of, key=lambda path: (of[path], path)):
            text, group = path.read_text(), path.parent.relative_to(folder).as_posix()
            header = re.match(r"#\s*@package\s+(\S+)", text)
            package = header[1] if header else group.replace("/", ".")
            prefix = "" if package == "_global_" else f"{package}."
            with suppress(Exception):  # Hydra reports a damaged file to whoever chooses it
                for name in recipe.keys(OmegaConf.create(yaml.safe_load(text) or {}), prefix):
                    found.setdefault(name, f"{group}={path.stem}")
    return found
