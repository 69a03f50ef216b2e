"""Writing a file so that a reader, or a kill, never sees half of it."""

import errno
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]  # the repository, in a clone
IS_CLONE = all((ROOT / name).is_file() for name in ("configs/train.yaml", "src/train.py"))
CONFIGS = ROOT / "configs" if IS_CLONE else PACKAGE / "configs"
DATA = ROOT / "data" if IS_CLONE else PACKAGE / "embedded"  # MNIST/raw is in it
UNFINISHED = ".unfinished"
MAX_JSON_BYTES = 1 << 20  # of a file which may come from anyone; a run's have 1 KB
# a pipe would wait; Windows has neither word
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def home() -> Path:
    """Where outputs/ is: the current folder."""
    return Path.cwd()


def python_path() -> str:
    """For processes that are to import this package, not another that is installed."""
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = str(PACKAGE.parent)
    return os.pathsep.join([own, *(path for path in there if path not in ("", own))])


def called(command: str) -> str:
    """As its like was typed: `digits-train`, or `python src/train.py`."""
    installed = Path(sys.argv[0]).stem.startswith("digits-")
    return f"digits-{command}" if installed else f"python src/{command}.py"


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Raises OSError, with `path` as before, if the folder can't be written or the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the name without the data


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """A file of somebody's folder. Raises OSError where it can't be read, or is a link or no file;
    ValueError where it has more.
    """
    with _opened(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes} bytes")
    return data


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """An object that anyone may have written; empty if there is none."""
    try:
        content = json.loads(
            read_at_most(path, max_bytes),
            parse_int=lambda digits: int(digits) if len(digits) <= 300 else float(digits),
        )  # an integer of more digits is too large for any float
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def tail(path: Path, max_bytes: int) -> bytes:
    """The end of such a file. Raises OSError as `read_at_most` does."""
    with _opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
        return file.read(max_bytes)


def is_inside(name: str) -> bool:
    """Whether a path of somebody's choosing, relative to a folder, names something in it."""
    path = PurePath(name)
    stays = bool(path.parts) and not path.anchor and ".." not in path.parts
    return stays and name.isprintable()


def is_plain(folder: Path, name: str) -> bool:
    """Whether `name`, with / between its parts, is a regular file in `folder`, by no link."""
    try:
        by_link = any((folder / parent).is_symlink() for parent in PurePath(name).parents[:-1])
        return not by_link and stat.S_ISREG((folder / name).lstat().st_mode)
    except (OSError, ValueError):
        return False


def keep_as(path: Path, other: Path) -> None:
    """Make `other` what `path` is now, if it exists. Raises OSError as `write_atomically` does."""
    if path.is_file():
        with _replacing(other) as unfinished:
            try:
                os.link(path, unfinished)
            except OSError:  # a file system without links
                shutil.copyfile(path, unfinished)


def remove_unfinished(folder: Path) -> None:
    """Remove what writers that were killed have left in `folder`."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


def relative(path: Path | str) -> str:
    """As one would type it here."""
    here = Path.cwd()
    return str(Path(path).relative_to(here) if Path(path).is_relative_to(here) else path)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, by no link."""
    with open(path, "rb", opener=lambda name, _: os.open(name, READ)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        yield file


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:  # a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:  # after Ctrl+C too
        with suppress(OSError):  # on a disk that has become read-only
            unfinished.unlink(missing_ok=True)
