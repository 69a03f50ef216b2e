"""The runs' folders: making one that is new, finding a checkpoint in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from digits.commands import settings
from digits.errors import InputError
from digits.redact import redacted

_made: set[str] = set()


def name_folder(outputs_dir: str, name: str) -> str:
    """`new_folder` for the settings paths.outputs_dir and task_name. Raises InputError for what
    would be a folder elsewhere.
    """
    parent = f"{outputs_dir}/{name}"
    if redacted(parent) != parent:
        raise InputError(f"{redacted(parent)}: a folder's name; expected no secret in it")
    settings.check_value("paths.outputs_dir", outputs_dir)
    settings.check_value("task_name", name)
    return new_folder(parent)


@cache
def new_folder(parent: str) -> str:
    """A folder under `parent`, named after the time and made here: no other run can have it."""
    while True:
        folder = Path(parent) / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            _made.add(str(folder))
            return str(folder)


@contextmanager
def taken_back_if_refused(folder: str) -> Iterator[None]:
    """Removes `folder`, where `new_folder` made it, when an InputError passes."""
    try:
        yield
    except InputError:
        if folder in map(os.path.abspath, _made):
            with suppress(OSError):  # a file that came into it meanwhile
                os.rmdir(folder)
        raise


def find(ckpt_path: str, outputs_dir: str) -> Path:
    """The checkpoint `ckpt_path` names. `latest` is the one the newest run was tested with: its
    best.ckpt where it had validation, else its last.ckpt.

    Raises InputError where there is no such file.
    """
    if ckpt_path == "latest":
        last = latest(Path(outputs_dir), "ckpt_path=latest")
        best = last.with_name("best.ckpt")
        return best if best.is_file() else last
    path = Path(ckpt_path)
    try:
        kind = "a folder" if path.is_dir() else "no such file" if not path.is_file() else None
    except OSError as error:  # a name too long
        kind = error.strerror
    if kind:
        raise InputError(f"ckpt_path={path}: {kind}; expected a .ckpt file, or latest")
    return path


def latest(outputs_dir: Path, asked: str) -> Path:
    """The newest run's last.ckpt. Raises InputError, for what was `asked`, where there is none."""
    checkpoints = outputs_dir.glob("**/checkpoints/last.ckpt")
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        raise InputError(
            f"{asked}: no run under {outputs_dir} has a checkpoint yet; "
            "python src/train.py trains one"
        )
    return newest
