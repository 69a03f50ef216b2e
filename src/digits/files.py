"""Where files are, how to read one that anyone may have written, how to write one atomically."""

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
ROBUST = PACKAGE / "prediction" / "robust.safetensors"  # by export.py --format int8
TEMPLATES = ROOT / "templates" if IS_CLONE else PACKAGE / "templates"  # what digits-new copies
DRAWINGS = ROOT / "docs/drawings" if IS_CLONE else PACKAGE / "drawings"  # examples to read
UNFINISHED = ".unfinished"
MAX_JSON_BYTES = 1 << 20  # of a file that anyone may have written; a run's have 1 KB
# follow no link, and do not wait for a pipe; Windows has neither flag
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def home() -> Path:
    """Return the folder that outputs/ is in: the current one."""
    return Path.cwd()


def python_path() -> str:
    """For processes that are to import this package, not another that is installed."""
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = str(PACKAGE.parent)
    return os.pathsep.join([own, *(path for path in there if path not in ("", own))])


def called(command: str) -> str:
    """Return how the user calls `command`: as `digits-train`, or `python src/train.py`."""
    installed = Path(sys.argv[0]).stem.startswith("digits-")
    return f"digits-{command}" if installed else f"python src/{command}.py"


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Raises OSError, with `path` unchanged, if the folder can't be written or the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the name without the data


def read_at_most(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that anyone may have written. Raises OSError if it can't be read
    or is no regular file, ValueError if it has more bytes.
    """
    with _opened(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path} has more than {max_bytes} bytes")
    return data


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Return the JSON object that anyone may have written to a file; empty if there is none."""
    try:
        content = json.loads(
            read_at_most(path, max_bytes),
            parse_int=lambda digits: int(digits) if len(digits) <= 300 else float(digits),
        )  # an integer of more digits is too large for any float
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def tail(path: Path, max_bytes: int) -> bytes:
    """Return the end of a file that anyone may have written. Raises OSError as `read_at_most`."""
    with _opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - max_bytes))
        return file.read(max_bytes)


def is_inside(name: str) -> bool:
    """Whether a relative path, which anyone may have chosen, stays inside its folder."""
    path = PurePath(name)
    stays = bool(path.parts) and not path.anchor and ".." not in path.parts
    return stays and name.isprintable()


def is_plain(folder: Path, name: str) -> bool:
    """Whether the path `name` in `folder` is a regular file that no link leads to."""
    try:
        by_link = any((folder / parent).is_symlink() for parent in PurePath(name).parents[:-1])
        return not by_link and stat.S_ISREG((folder / name).lstat().st_mode)
    except (OSError, ValueError):
        return False


def keep_as(path: Path, other: Path) -> None:
    """Keep the file `path`, if it exists, as `other` too. Raises OSError as `write_atomically`."""
    if path.is_file():
        with _replacing(other) as unfinished:
            try:
                os.link(path, unfinished)
            except OSError:  # the file system has no links
                shutil.copyfile(path, unfinished)


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files that killed processes have left in `folder`."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


def relative(path: Path | str) -> str:
    """Return the path as one types it in the current folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here) if Path(path).is_relative_to(here) else path)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, not a link."""
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
    except OSError as error:  # the error of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:  # after Ctrl+C too
        with suppress(OSError):  # the disk may have become read-only
            unfinished.unlink(missing_ok=True)
