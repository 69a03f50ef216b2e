import datetime
import os
from pathlib import Path

import pytest

from digits.errors import InputError
from digits.runs import folder


def test_runs_of_the_same_instant_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(datetime.datetime):
        ticks = iter([0, 0, 0, 1, 1, 2])  # three processes read the same clock, twice

        @classmethod
        def now(cls, tz: object = None) -> datetime.datetime:
            return datetime.datetime(2026, 1, 2, 3, 4, 5, next(cls.ticks))

    monkeypatch.setattr(folder, "datetime", Stuck)
    folders = [folder.new_folder.__wrapped__(str(tmp_path)) for _ in range(3)]
    assert len(set(folders)) == 3
    assert Path(folders[0]).name == "2026-01-02_03-04-05-000000"


def test_latest_is_the_newest_run_with_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ckpt_path=latest: no run under .* has a checkpoint yet"):
        folder.find("latest", str(tmp_path))
    for age, run in enumerate(("train/b", "multirun/c/0", "train/a")):
        last = tmp_path / run / "checkpoints" / "last.ckpt"
        last.parent.mkdir(parents=True)
        last.write_bytes(b"")
        os.utime(last, (1000 + age, 1000 + age))
    (tmp_path / "train" / "z" / "checkpoints").mkdir(parents=True)
    assert folder.find("latest", str(tmp_path)) == last
    best = last.with_name("best.ckpt")
    best.write_bytes(b"")
    assert folder.latest(tmp_path, "resume=latest") == last
    assert folder.find("latest", str(tmp_path)) == best


@pytest.mark.parametrize(
    ("name", "kind"), [("nope", "no such file"), (".", "a folder"), ("x" * 300, "File name too")]
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(InputError, match=rf"ckpt_path=.*: {kind}.*; expected a \.ckpt file"):
        folder.find(str(tmp_path / name), "outputs")
