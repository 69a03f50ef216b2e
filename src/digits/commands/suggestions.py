"""What is said of a setting that does not exist."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from digits.runs import recipe
from digits.runs.words import key as key_of

SEE = "--cfg job shows all"
MOST = 3  # suggestions; more are none
CLOSE = 0.8  # of difflib's ratio
PACKAGE = re.compile(r"#\s*@package\s+(\S+)")


def explain(
    error: Exception, config_dirs: Sequence[str], config_name: str, words: Sequence[str]
) -> str | None:
    """Which setting may have been meant by the one of `words` that does not exist; None for any
    other error. `config_dirs` begin with the project's.
    """
    unknown = re.match(r"Could not override '(.+?)'", str(error))
    if unknown is None or not isinstance(error, ConfigCompositionException):
        return None
    key = unknown[1]
    known = list(recipe.keys(_composed(config_dirs, config_name, words)))
    if key in known:
        return f"{key}: no such setting in the groups chosen; {SEE}"
    if option := _elsewhere(config_dirs).get(key):
        return f"{key}: comes with {option}; expected that, too"
    meant = nearest(key, known)
    return f"{key}: no such setting; " + (f"did you mean {' or '.join(meant)}?" if meant else SEE)


def nearest(key: str, known: Sequence[str]) -> list[str]:
    """Those of `known` that `key` may stand for: of the same last part (lr), with it as a word
    (epochs), or nearly the same. Too many are none.
    """
    last, settings = _last(key), [name for name in known if f"{name}." not in " ".join(known)]
    same = [name for name in settings if _plain(_last(name)) == _plain(last)]
    worded = [name for name in settings if last in _last(name).split("_")]
    close = get_close_matches(key, known, n=1, cutoff=CLOSE)
    lasts = {_last(name): name for name in reversed(settings)}
    close_last = [lasts[name] for name in get_close_matches(last, lasts, n=1, cutoff=CLOSE)]
    found = next((some for some in (same, close, worded, close_last) if some), [])
    return found if len(found) <= MOST else []


def _composed(config_dirs: Sequence[str], config_name: str, words: Sequence[str]) -> DictConfig:
    """With the groups that `words` choose, if those can be."""
    first, *more = config_dirs
    groups = {path.name for folder in config_dirs for path in Path(folder).iterdir()}
    chosen = [word for word in words if key_of(word).partition("/")[0] in groups]
    searched = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in more)}]"]
    with hydra.initialize_config_dir(first, version_base="1.3"):
        try:
            return hydra.compose(config_name, [*searched, *chosen])
        except Exception:  # which has its own line, once this one is mended
            return hydra.compose(config_name)


def _elsewhere(config_dirs: Sequence[str]) -> dict[str, str]:
    """Every setting of every option of the groups, and which option brings it."""
    found: dict[str, str] = {}
    for folder in config_dirs:
        for path in sorted(Path(folder).rglob("*/*.yaml")):
            text, group = path.read_text(), path.parent.relative_to(folder).as_posix()
            header = PACKAGE.match(text)
            package = header[1] if header else group.replace("/", ".")
            prefix = "" if package == "_global_" else f"{package}."
            with suppress(yaml.YAMLError):  # Hydra says so to whoever chooses it
                for name in _names(yaml.safe_load(text), prefix):
                    found.setdefault(name, f"{group}={path.stem}")
    return found


def _names(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, Mapping) else ():
        if key != "defaults":
            yield f"{prefix}{key}"
            yield from _names(value, f"{prefix}{key}.")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()
