"""A system without fcntl, alarms and some flags of files: what Windows lacks, hidden here.
(Nothing else of Windows is tried.)
"""

from pathlib import Path

import pytest

from support.commands import UNSEEN, finish

HIDDEN = """
import os, signal, sys
sys.modules["fcntl"] = None
for name in ("SIGALRM", "alarm"):  # and not those that Lightning looks for outside Windows
    delattr(signal, name)
for name in ("O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
opened = os.open
def no_folders(path, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, *rest, **more)
os.open = no_folders
sys.argv = sys.argv[1:]
sys.path.insert(0, "src")
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("question", [["--help"], ["--cfg", "job"]], ids=" ".join)
def test_questions_are_answered(question: list[str]) -> None:
    code, out, err = finish("-c", HIDDEN, "src/train.py", *question)
    assert (code, err) == (0, "")
    assert "trainer" in out


@pytest.mark.slow
def test_a_run_trains_and_goes_on_without_a_lock(tmp_path: Path) -> None:
    short = ("trainer.limit_train_batches=20", f"paths.outputs_dir={tmp_path}", *UNSEEN)
    code, out, err = finish("-c", HIDDEN, "src/train.py", "trainer.max_epochs=1", *short)
    assert (code, err) == (0, "")
    code, out, err = finish(
        "-c", HIDDEN, "src/train.py", "resume=latest", "trainer.max_epochs=2", *short
    )
    assert (code, err) == (0, "")
    assert "Epoch 2/2" in out
