"""Writing a file so that a reader, or a kill, never sees half of it."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Raises OSError when the folder cannot be written or the disk is full; `path` is then as
    before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:  # a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:  # after Ctrl+C too
        unfinished.unlink(missing_ok=True)
