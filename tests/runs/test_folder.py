import os
import shutil
from pathlib import Path

import pytest

from digits import load
from digits.errors import DivergedError, InputError
from digits.runs import folder, status
from digits.runs.folder import RunFolder
from digits.signals import Stopped
from support.commands import Outcome, finish


def trained(outputs: Path, *runs: str) -> None:
    """Folders of runs with a checkpoint, the newest last."""
    for age, run in enumerate(runs):
        last = outputs / run / "checkpoints" / "last.ckpt"
        last.parent.mkdir(parents=True)
        last.write_bytes(b"")
        os.utime(last, (1000 + age, 1000 + age))


def test_the_newest_run_has_a_checkpoint_and_is_no_job_of_a_sweep(tmp_path: Path) -> None:
    none = r"resume=latest: no run under .* has a checkpoint yet; python src/train.py "
    with pytest.raises(InputError, match=none + "trains one"):
        folder.newest_run(tmp_path, "resume=latest")
    trained(tmp_path, "multirun/c/0")
    (tmp_path / "multirun" / "c" / "sweep.json").write_text("{}")
    with pytest.raises(InputError, match=none + "-m sweep=latest goes on with a sweep"):
        folder.newest_run(tmp_path, "resume=latest")
    trained(tmp_path, "train/b", "train/a", "multirun/c/1", "debug/d")
    (tmp_path / "train" / "z" / "checkpoints").mkdir(parents=True)
    assert folder.newest_run(tmp_path, "resume=latest").path == tmp_path / "train" / "a"
    assert next(folder.trained(tmp_path)).path == tmp_path / "multirun" / "c" / "1"


def test_what_became_of_a_run_is_known(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.status() is None
    with run.held():
        status.begin(tmp_path)
        assert run.status().status == "running"
    assert run.status().status == "killed"
    full = "cannot write x: No space left; paths.outputs_dir=FOLDER writes elsewhere"
    for error, *expected in (
        (None, "finished", None, 0),
        (KeyboardInterrupt(), "stopped", None, 130),
        (Stopped(15), "stopped", None, 143),
        (ZeroDivisionError("x"), "failed", "x", 1),
        (OSError(28, "No space left", "x"), "failed", full, 2),
        (DivergedError("train/loss is nan"), "diverged", "train/loss is nan", 2),
    ):
        status.begin(tmp_path)
        status.end(tmp_path, error)
        found = run.status()
        assert [found.status, found.error, found.code] == expected
        assert found.begun <= found.ended
        status.end(tmp_path, InputError("what came later"))
        assert run.status() == found


def test_the_end_of_another_process_is_no_end_of_the_run(tmp_path: Path) -> None:
    """A refused resume leaves a killed run what it was."""
    run = RunFolder(tmp_path)
    begins = "import sys; from pathlib import Path; from digits.runs import status; "
    begins += "status.begin(Path(sys.argv[1]))"
    assert finish("-c", begins, str(tmp_path))[0] == 0
    status.end(tmp_path, InputError("refused"))
    assert (run.status().status, run.status().error) == ("killed", None)


def test_a_finished_run_has_what_its_folder_names_and_a_cleared_one_nothing_of_it(
    finished: Outcome, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished.folder, run.path)
    assert {path.relative_to(run.path).as_posix() for path in run.path.rglob("*")} >= {
        "checkpoints/last.ckpt", "checkpoints/previous.ckpt", "checkpoints/best.ckpt",
        "metrics.json", "metrics.csv", "status.json", "tensorboard", "figures",
        "evidence.npz", "report.html", ".hydra/overrides.yaml", ".hydra/config.yaml",
    }  # fmt: skip
    assert run.status().status == "finished"
    run.last.write_bytes(b"")
    assert load(run.path).path == run.best  # is read by its best checkpoint
    (run.path / "notes.txt").touch()
    run.clear()
    assert {path.name for path in run.path.iterdir()} == {"notes.txt", "train.log", "hparams.yaml"}
