"""What a run was started with: kept in its folder, and taken over from one that anyone may have
made.
"""

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from digits.errors import InputError
from digits.files import read_at_most, write_atomically
from digits.runs.folder import RunFolder

BACKSLASH = "\\"
MAX_BYTES = 1 << 14  # of it: more than any command line we would take over
MAX_WORDS = 256  # Hydra parses as many in 0.04 s

# A run's folder may come from anyone: of its settings only plain values are taken over, for parts
# of the run that write no files of the settings' choosing
_GROUP = r"(?!hydra)[a-z_]+(/[a-z_]+)?=(\w+|\[[\w,]*\])"
_KEY = r"seed|test|(data|model|trainer|callbacks)(\.[a-zA-Z]\w*)+"
_METRIC = (
    r"(optimized_metric|model\.scheduler_monitor|callbacks\.\w+\.monitor)=\w+/\w+"
    r"|optimized_metric=\[[\w/,]*\]"
)
_TIME = r"trainer\.max_time=[\w:{}., ]+"
_TAGS = r"tags=\[[\w.,-]*\]"
_FILE = r"(ckpt_path|paths\.data_dir)=[^${}]+"
_PLAIN = re.compile(
    rf"(~|\+{{0,2}})({_GROUP}|({_KEY})(=[\w.+-]*)?|{_METRIC}|{_TAGS}|{_TIME})|{_FILE}"
)
_STARTS = re.compile(r"[+~]*trainer\.(devices|num_nodes|strategy|oversubscribe)\b.*")  # processes
_WRITES = re.compile(r"([^=]*[._])?(dir|dirpath|file|filename|path|root)([._][^=]*)?=")
OF_THE_FOLDER = (
    "resume",
    "sweep",
    "fail_fast",
    "task_name",
    "paths.outputs_dir",
    "hydra.run.dir",
    "hydra.sweep.dir",
)
_ITS_OWN = ("seed", *OF_THE_FOLDER)


def record(cfg: DictConfig) -> None:
    """Write what the run is set to now into its .hydra, for the next resume. Hydra's own file is
    not atomic, and lacks a seed that was drawn.
    """
    run = RunFolder(cfg.paths.output_dir)
    words = [*given(), f"seed={cfg.seed}"]
    write_atomically(run.overrides, OmegaConf.to_yaml(words).encode())
    write_atomically(run.config, OmegaConf.to_yaml(cfg).encode())


def given() -> list[str]:
    """What this run was started with, without its seed and its folder."""
    return [word for word in HydraConfig.get().overrides.task if key(word) not in _ITS_OWN]


def read(run: RunFolder) -> list[str]:
    """What a run was started with, without its folder. Raises InputError for no run's folder."""
    try:
        words = yaml.safe_load(read_at_most(run.overrides, MAX_BYTES))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):  # ValueError: no path, no UTF-8
        words = None
    is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not is_list or len(words) > MAX_WORDS or sum(map(len, words)) > MAX_BYTES:  # aliases
        raise InputError(f"no run's folder: {run.overrides} is missing or damaged")
    return [word for word in words if key(word) not in OF_THE_FOLDER]


def check_is_plain(folder: Path) -> None:
    """Raises InputError for links, pipes and the like: writing would wait, or end elsewhere."""
    names: Counter[tuple[int, int]] = Counter()  # of each file: a kept checkpoint has two a while
    files: list[tuple[Path, os.stat_result]] = []
    for parent, inside, here in os.walk(folder):
        for path in (Path(parent, name) for name in (*inside, *here)):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                names[status.st_dev, status.st_ino] += 1
                files += [(path, status)]
            elif stat.S_ISLNK(status.st_mode) and _is_within(folder, path):
                continue  # SLURM's files have some
            elif not stat.S_ISDIR(status.st_mode):
                raise InputError(f"{path} is a link or a device; expected none in it")
    for path, status in files:
        if status.st_nlink > names[status.st_dev, status.st_ino]:
            raise InputError(f"{path} is a file elsewhere, too (a hard link); expected a copy")


def not_taken(words: Sequence[str], folder: Path) -> list[str]:
    return [word for word in words if not _is_taken(word, folder)]


def _is_taken(word: str, folder: Path) -> bool:
    """Whether `word`, which anyone may have put into `folder`, can do no harm. A group, such as
    trainer=ddp, may start processes.
    """
    if re.fullmatch(_FILE, word):
        return key(word) != "paths.data_dir" or not _is_within(folder, _value(word))
    return bool(_PLAIN.fullmatch(word)) and not _STARTS.fullmatch(word) and not names_a_file(word)


def _is_within(folder: Path, path: object) -> bool:
    return Path(str(path)).resolve().is_relative_to(folder.resolve())


def _value(word: str) -> object:
    """As Hydra understands it, quotes and escapes."""
    return OverridesParser.create().parse_override(word).value()


def quoted(text: object) -> str:
    """As Hydra's command line takes any text, a path's for one."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", str(text))
    return f"'{escaped}{escaped[len(escaped.rstrip(BACKSLASH)) :]}'"


def names_a_file(word: str) -> bool:
    """Whether a setting may say where something is written, or read, by its name."""
    return _WRITES.match(word) is not None


def unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        halved = r"(\\*)\1\\?(?=['\"]|$)"  # those before a quote; others are themselves
        return re.sub(halved, r"\1", text[1:-1])
    return text


def is_of_folder(word: str) -> bool:
    """Whether it says where a run is, not what it does."""
    return key(word) in OF_THE_FOLDER


def key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
