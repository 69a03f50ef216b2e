import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from digits.files import keep_as, read_at_most, write_atomically
from digits.training.saving import LastCheckpoint


def test_a_full_disk_leaves_the_old_file_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, b"older")
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("has_links", [True, False])
def test_keeps_what_was_there_under_another_name(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EPERM, "Not permitted")))
    path, other = tmp_path / "last", tmp_path / "previous"
    keep_as(path, other)
    assert not other.exists()
    for content in (b"1", b"2", b"3"):
        keep_as(path, other)
        write_atomically(path, content)
    assert (path.read_bytes(), other.read_bytes()) == (b"3", b"2")


def test_what_killed_writers_left_is_removed_at_a_runs_start(tmp_path: Path) -> None:
    for name in (".last.ckpt.12ab34cd.unfinished", "last.ckpt", ".hidden", "x.unfinished"):
        (tmp_path / name).touch()
    LastCheckpoint(str(tmp_path)).setup(Mock(is_global_zero=True), Mock(), "fit")
    assert {p.name for p in tmp_path.iterdir()} == {"last.ckpt", ".hidden", "x.unfinished"}


def test_links_pipes_and_devices_are_not_read_nor_more_than_asked_for(tmp_path: Path) -> None:
    (path := tmp_path / "x").write_bytes(b"1234")
    assert read_at_most(path, 4) == b"1234"
    with pytest.raises(ValueError, match="more than 3 bytes"):
        read_at_most(path, 3)
    (tmp_path / "link").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a file|symbolic links|directory"):
            read_at_most(path, 4)
