import os
from pathlib import Path

import pytest

from digits.errors import InputError
from digits.runs import folder


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
    assert folder.latest(tmp_path, "resume=latest").path == tmp_path / "train" / "a"
    assert folder.find("latest", str(tmp_path)) == best


@pytest.mark.parametrize(
    ("name", "kind"), [("nope", "no such file"), (".", "a folder"), ("x" * 300, "File name too")]
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(InputError, match=rf"ckpt_path=.*: {kind}.*; expected a \.ckpt file"):
        folder.find(str(tmp_path / name), "outputs")
