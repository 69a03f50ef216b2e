"""What a run records of itself (words, settings, command, commit), and what others take from that.

A folder may come from anyone. From its record a command takes groups by name and other settings as
plain values: never a class, a file, a place elsewhere, an interpolation, a number of processes. The
user has to give those again.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from digits import text
from digits.errors import InputError
from digits.files import IS_CLONE, ROOT, home, read_at_most, write_atomically
from digits.runs.folder import RunFolder
from digits.runs.words import key, own, quoted

MAX_WORDS_BYTES = 1 << 14  # more than any sensible command line
MAX_WORDS = 256  # Hydra parses this many in 0.1 s
MAX_CONFIG_BYTES = 1 << 16  # a run's own have 3 KB

NAME = re.compile(r"[a-zA-Z]\w*")  # so no _target_ and no _args_
OPTION = re.compile(r"\w+([.-]\w+)*(/\w+([.-]\w+)*)*")  # a group's option
GROUP = re.compile(r"(?!hydra)[a-z_]+(/[a-z_]+)*|hydra/(launcher|sweeper)(/[a-z]+)?")
SETTING = re.compile(
    r"seed|test|tags|optimized_metric|replicates|(data|model|trainer|callbacks)\..+"
    r"|hydra\.(launcher\.jobs|sweeper\.(n_trials|direction|(sampler|pruner)\..+))"
)
STARTS_PROCESSES = re.compile(r"trainer\.(devices|num_nodes|strategy|oversubscribe)(\..*)?")
NAMES_A_FILE = re.compile(r"(.*[._])?(dir|dirpath|file|filename|path|root)([._].*)?")
# they name files, or parts of files, that are only read as data
READ_FROM = ("ckpt_path", "weights", "weights_only_of", "data.path", "paths.data_dir")
ELSEWHERE = re.compile(r"[/~].*|.*(\.\./|://|\$\{|\\).*", re.DOTALL)
HIDDEN = "***"
PATIENCE_S = 5  # how long git may take

Facts = dict[str, str | bool]


def words(run: RunFolder) -> list[str]:
    """Return a run's words, less those that name its folder. Raises InputError for no run."""
    try:
        told = read_yaml(run.overrides, MAX_WORDS_BYTES)
    except InputError:
        told = None
    is_list = isinstance(told, list) and all(isinstance(word, str) for word in told)
    if not is_list or len(told) > MAX_WORDS or sum(map(len, told)) > MAX_WORDS_BYTES:  # by aliases
        raise InputError(f"no run's folder: {run.overrides} is missing or damaged")
    return own(told)


def config(run: RunFolder) -> dict[str, Any]:
    """Return a run's settings; empty if it wrote none. Raises InputError if they are damaged."""
    told = read_yaml(run.config)
    return told if isinstance(told, dict) else {}


def words_of_groups(run: RunFolder, groups: Sequence[str]) -> list[str]:
    """Return words that choose the run's settings of `groups` (its model and data, say) again; none
    if it has recorded nothing. Raises InputError for a damaged record.
    """
    told = read_yaml(run.hydra / "hydra.yaml")
    for name in ("hydra", "runtime", "choices"):
        told = told.get(name) if isinstance(told, dict) else {}
    settings = config(run)
    chosen = [
        f"{group}={option}"
        for group, option in (told.items() if isinstance(told, dict) else ())
        if str(group).partition("/")[0] in groups and _is_choice(str(group), option)
    ]
    try:
        values = [word for group in groups for word in words_of(settings.get(group), group)]
    except RecursionError as error:  # a mapping contains itself
        raise InputError(f"{run.config}: no run's settings, or damaged") from error
    if len(chosen) + len(values) > MAX_WORDS:
        raise InputError(f"{run.config}: more settings than a model and its data have")
    return [*chosen, *values]


def record(cfg: DictConfig, given: Sequence[str]) -> None:
    """Write the words `given`, the run's seed and its settings into .hydra, for the next resume:
    Hydra's own file is not atomic, and lacks a seed that was drawn.
    """
    run = RunFolder(cfg.paths.output_dir)
    told = [*(word for word in own(given) if key(word) != "seed"), f"seed={cfg.seed}"]
    write_atomically(run.overrides, OmegaConf.to_yaml(told).encode())
    write_atomically(run.config, OmegaConf.to_yaml(cfg).encode())


def not_taken(given: Sequence[str], folder: Path) -> list[str]:
    """Return the `given` words that could do harm if a stranger had written them to `folder`."""
    return [word for word in given if not _is_taken(word, folder)]


def _is_taken(word: str, folder: Path) -> bool:
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    name, values = override.key_or_group, list(_each_value(override))
    if name in READ_FROM and not override.is_sweep_override():
        path = str(values[0])
        return "${" not in path and not (name == READ_FROM[-1] and is_within(folder, path))
    if override.is_delete():
        values = []
    if GROUP.fullmatch(name) and not SETTING.fullmatch(name):
        return all(_is_choice(name, value) for value in values)
    return _is_setting(name, values)


def _each_value(override: Override) -> Iterator[Any]:
    """Yield all values of a sweep, a range's ends, or the one value of any other word."""
    value: Any = override.value()
    if isinstance(value, RangeSweep):
        yield from (value.start, value.stop, value.step)
    elif isinstance(value, IntervalSweep):
        yield from (value.start, value.end)
    elif isinstance(value, Glob):
        yield [*(re.sub(r"[*?]", "x", name) for name in (*value.include, *value.exclude))]
    elif override.is_sweep_override():
        yield from override.sweep_iterator()
    else:
        yield value


def _is_choice(name: str, value: Any) -> bool:
    """Whether the word chooses a group's option, or several, by name. Such an option may start
    processes: trainer=ddp does.
    """
    options = value if isinstance(value, list) else [value]
    return bool(GROUP.fullmatch(name)) and all(
        option is None or (isinstance(option, str) and OPTION.fullmatch(option))
        for option in options
    )


def _is_setting(name: str, values: Sequence[Any]) -> bool:
    is_known = SETTING.fullmatch(name) and not STARTS_PROCESSES.fullmatch(name)
    return bool(is_known) and _is_named_plainly(name) and all(map(_is_plain, values))


def _is_named_plainly(name: str) -> bool:
    return not NAMES_A_FILE.fullmatch(name) and all(map(NAME.fullmatch, name.split(".")))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_named_plainly(str(k)) and _is_plain(part) for k, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str | QuotedString):
        written = value if isinstance(value, str) else value.text
        return written.isprintable() and not ELSEWHERE.fullmatch(written)
    return value is None or isinstance(value, bool | int | float)


def words_of(node: Any, name: str) -> Iterator[str]:
    """Yield a word for each setting with a plain value."""
    if isinstance(node, dict):
        for key_, value in node.items():
            if _is_named_plainly(str(key_)) or f"{name}.{key_}" in READ_FROM:
                yield from words_of(value, f"{name}.{key_}")
    elif _is_setting(name, [node]) or (
        name in READ_FROM and isinstance(node, str) and "${" not in node
    ):
        yield f"++{name}={_written(node)}"


def _written(value: Any) -> str:
    """Return the value as the command line takes it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return quoted(value) if isinstance(value, str) else str(value)


def read_yaml(path: Path, max_bytes: int = MAX_CONFIG_BYTES) -> Any:
    """Return a YAML file's content, None without a file. Raises InputError for a damaged file."""
    try:
        return yaml.safe_load(read_at_most(path, max_bytes))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:  # ValueError: no UTF-8
        raise InputError(f"{path}: no run's settings, or damaged") from error


def is_within(folder: Path, path: object) -> bool:
    return Path(str(path)).resolve().is_relative_to(folder.resolve())


def check_is_plain(folder: Path) -> None:
    """Raises InputError for a link, pipe or device: writing there could wait, or go elsewhere."""
    names: Counter[tuple[int, int]] = Counter()  # per file; a checkpoint may have two for a while
    files: list[tuple[Path, os.stat_result]] = []
    for parent, inside, here in os.walk(folder):
        for path in (Path(parent, name) for name in (*inside, *here)):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                names[status.st_dev, status.st_ino] += 1
                files += [(path, status)]
            elif stat.S_ISLNK(status.st_mode) and is_within(folder, path):
                continue  # SLURM makes such links
            elif not stat.S_ISDIR(status.st_mode):
                raise InputError(f"{path} is a link or a device; expected none in it")
    for path, status in files:
        if status.st_nlink > names[status.st_dev, status.st_ino]:
            raise InputError(f"{path} is a file elsewhere, too (a hard link); expected a copy")


def facts() -> Facts:
    """Return `command` as typed, `overrides`, `date` (UTC, ISO 8601), and `commit` and
    `commit_is_clean` of the repository or, for an installed package, of the current folder.
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
    """Return the word redacted; KEY=VALUE loses its value if the key sounds secret."""
    name, _, value = word.partition("=")
    if value and text.sounds_secret(name):
        return f"{name}={HIDDEN}"
    return text.redacted(text.without_passwords(word))


def settings_text(cfg: DictConfig) -> str:
    """Return all settings of a run as YAML, without Hydra's own."""
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
    """Return the folder's commit and whether it is clean; nothing without git or a repository."""
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
