"""The runs' folders: making one that is new, finding a checkpoint in them. Imports no torch."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from digits.errors import InputError
from digits.redact import redacted


@cache
def new_folder(parent: str) -> str:
    """A folder under `parent`, named after the time and made here: no other run can have it."""
    if redacted(parent) != parent:
        raise InputError(f"{redacted(parent)}: a folder's name; expected no secret in it")
    while True:
        folder = Path(parent) / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            return str(folder)


def check_is_new(arguments: Sequence[str]) -> None:
    """Raises InputError where a command line sends a run into a folder that has one already."""
    marks = {"hydra.run.dir": ".hydra", "hydra.sweep.dir": "multirun.yaml"}
    for argument in arguments:
        key, _, folder = argument.partition("=")
        if key in marks and (Path(folder) / marks[key]).exists():
            raise InputError(f"{argument}: a run is there already; expected a new folder")


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


def relative(path: str) -> str:
    """As one would type it here."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
