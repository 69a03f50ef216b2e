"""Going on with a run in its own folder, as it was set."""

import fcntl
import os
import re
import shlex
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from digits.commands import flags
from digits.errors import InputError, shown
from digits.files import read_at_most, write_atomically
from digits.runs.folder import latest

BACKSLASH = "\\"
CONFIG = Path(".hydra", "config.yaml")
OVERRIDES = Path(".hydra", "overrides.yaml")
MAX_BYTES = 1 << 14  # of it: more than any command line we would take over
MAX_WORDS = 256  # Hydra parses as many in 0.04 s
LAST = Path("checkpoints", "last.ckpt")
PREVIOUS = Path("checkpoints", "previous.ckpt")

# A run's folder may come from anyone: of its settings only plain values are taken over, for parts
# of the run that write no files of the settings' choosing
_GROUP = r"(?!hydra)[a-z]+(/[a-z]+)?=(\w+|\[[\w,]*\])"
_KEY = r"seed|test|(data|model|trainer|callbacks)(\.[a-zA-Z]\w*)+"
_METRIC = r"(optimized_metric|callbacks\.\w+\.monitor)=\w+/\w+"
_FILE = r"(ckpt_path|paths\.data_dir)=[^${}]+"
_PLAIN = re.compile(rf"(~|\+{{0,2}})({_GROUP}|({_KEY})(=[\w.+-]*)?|{_METRIC})|{_FILE}")
_STARTS = re.compile(r"[+~]*trainer\.(devices|num_nodes|strategy|oversubscribe)\b.*")  # processes
_WRITES = re.compile(r"([^=]*[._])?(dir|dirpath|file|filename|path|root)([._][^=]*)?=")
_OF_THE_FOLDER = ("resume", "task_name", "paths.outputs_dir", "hydra.run.dir", "hydra.sweep.dir")
_ITS_OWN = ("seed", *_OF_THE_FOLDER)


def arguments(given: Sequence[str], default_outputs: str) -> list[str]:
    """The command line of a run that goes on in its folder, `given` resume=FOLDER, resume=latest or
    ckpt_path=latest: what it was started with, what is given now, and its folder. Any other command
    line as it is.

    Raises InputError where that is no run's folder, or its settings can't be taken over.
    """
    values = {_key(word): _unquoted(word.partition("=")[2]) for word in given}
    resume, ckpt_path = (values.get(key, "null") for key in ("resume", "ckpt_path"))
    trains = values.get("train", "true").lower() != "false"
    if resume in ("null", "") and not (ckpt_path == "latest" and trains):
        return list(given)
    asked = f"resume={resume}" if resume != "null" else "ckpt_path=latest"
    if resume != "null" and ckpt_path != "null":
        raise InputError(f"{asked} ckpt_path={ckpt_path}: expected one of them")
    if flags.of_hydra(given).multirun or values.get("hydra.mode", "RUN") != "RUN":
        raise InputError(f"{asked}: goes on with one run; expected no -m or hydra.mode=MULTIRUN")
    if not trains:
        raise InputError(f"{asked} train=false: expected ckpt_path=FILE, to test it")
    folder = Path(resume)
    if asked.endswith("=latest"):
        outputs_dir = values.get("paths.outputs_dir", default_outputs)
        outputs_dir = OmegaConf.create({"dir": outputs_dir}).dir  # ${oc.env:SCRATCH}/runs
        folder = latest(Path(outputs_dir), asked).parents[1]
    return _going_on(folder.absolute(), asked, given)


def _going_on(folder: Path, asked: str, given: Sequence[str]) -> list[str]:
    if "${" in str(folder):
        raise InputError(f"{asked}: expected a folder without ${{ in its name")
    now = [word for word in given if _key(word) not in ("resume", "ckpt_path")]
    if any((folder / name).is_file() for name in (LAST, PREVIOUS)):
        now = [f"ckpt_path={quoted(folder / LAST)}", *now]  # else it starts anew
    given_now = {_key(word) for word in now}
    before = [word for word in _read_overrides(folder, asked) if _key(word) not in given_now]
    _check_is_plain(folder, asked)
    if again := _not_taken(before, folder):
        raise InputError(
            f"{asked}: its run was started with {' '.join(again)}, which is not taken from a file; "
            "expected it to be given again"
        )
    where = [f"resume={quoted(folder)}", f"hydra.run.dir={quoted(folder)}"]
    return [*where, "hydra.output_subdir=null", *before, *now]  # `now` may end in flags


def _not_taken(words: Sequence[str], folder: Path) -> list[str]:
    return [word for word in words if not _is_taken(word, folder)]


def _is_taken(word: str, folder: Path) -> bool:
    """Whether `word`, which `folder` may have from anyone, can do no harm. A group of ours, such as
    trainer=ddp, may start processes.
    """
    if re.fullmatch(_FILE, word):
        return _key(word) != "paths.data_dir" or not _is_within(folder, _value(word))
    return bool(_PLAIN.fullmatch(word)) and not _STARTS.fullmatch(word) and not _WRITES.match(word)


def _is_within(folder: Path, path: object) -> bool:
    return Path(str(path)).resolve().is_relative_to(folder.resolve())


def _value(word: str) -> object:
    """As Hydra understands it, quotes and escapes."""
    return OverridesParser.create().parse_override(word).value()


def how_to_go_on(cfg: DictConfig) -> str:
    """What a run that was stopped says: what to type."""
    folder = Path(cfg.paths.output_dir)
    if not (folder / LAST).is_file():
        return "stopped; nothing was saved yet"
    again = [shlex.quote(shown(word)) for word in _not_taken(_words(cfg), folder)]
    return " ".join([f"stopped; go on with resume={shown(str(folder))}", *again])


def record(cfg: DictConfig) -> None:
    """Keep what a run is set to now in its .hydra, for the next who goes on. Hydra's own writing is
    not atomic, and does not know a seed that was drawn.
    """
    folder = Path(cfg.paths.output_dir)
    words = [*_words(cfg), f"seed={cfg.seed}"]
    write_atomically(folder / OVERRIDES, OmegaConf.to_yaml(words).encode())
    write_atomically(folder / CONFIG, OmegaConf.to_yaml(cfg).encode())


def _words(cfg: DictConfig) -> list[str]:
    """What a run was started with: without its seed, and where it is."""
    words = [word for word in HydraConfig.get().overrides.task if _key(word) not in _ITS_OWN]
    if cfg.get("resume") and cfg.ckpt_path == str(Path(cfg.paths.output_dir, LAST)):
        return [word for word in words if _key(word) != "ckpt_path"]
    return words


def _read_overrides(folder: Path, asked: str) -> list[str]:
    try:
        words = yaml.safe_load(read_at_most(folder / OVERRIDES, MAX_BYTES))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):  # ValueError: no path, no UTF-8
        words = None
    is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not is_list or len(words) > MAX_WORDS or sum(map(len, words)) > MAX_BYTES:  # aliases
        raise InputError(f"{asked}: no run's folder: {folder / OVERRIDES} is missing or damaged")
    return [word for word in words if _key(word) not in _OF_THE_FOLDER]


def _check_is_plain(folder: Path, asked: str) -> None:
    """Raises InputError for links, pipes and the like: writing would end, or wait, elsewhere."""
    names: Counter[tuple[int, int]] = Counter()  # of each file: a kept checkpoint has two a while
    files: list[tuple[Path, os.stat_result]] = []
    for parent, inside, here in os.walk(folder):
        for path in (Path(parent, name) for name in (*inside, *here)):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                names[status.st_dev, status.st_ino] += 1
                files += [(path, status)]
            elif not stat.S_ISDIR(status.st_mode):
                raise InputError(f"{asked}: {path} is a link or a device; expected none in it")
    for path, status in files:
        if status.st_nlink > names[status.st_dev, status.st_ino]:
            raise InputError(
                f"{asked}: {path} is a file elsewhere, too (a hard link); expected a copy"
            )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Raises InputError where another process trains in `folder`. A killed one no longer does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another process is training there") from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def quoted(path: Path) -> str:
    """As Hydra's command line takes any path."""
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(path))
    return f"'{text}{text[len(text.rstrip(BACKSLASH)) :]}'"


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        halved = r"(\\*)\1\\?(?=['\"]|$)"  # those before a quote; others are themselves
        return re.sub(halved, r"\1", text[1:-1])
    return text


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
