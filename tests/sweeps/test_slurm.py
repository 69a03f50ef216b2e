"""Jobs of a real SLURM, which preempts them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import slurm
from support.commands import command, process
from support.sweeps import QUICK, assert_same_weights, folder_of_sweep, saved, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(slurm.missing() is not None, reason=str(slurm.missing())),
]
SLURM = ("hydra/launcher=slurm", "hydra.launcher.poll_seconds=1")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm")):
        yield


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_preempted_job_goes_on_to_the_same_end(running: None, tmp_path: Path) -> None:
    words = ["-m", *QUICK, "trainer.max_epochs=60", "trainer.limit_train_batches=60", "seed=3,4"]
    given = [*words, *SLURM, f"paths.outputs_dir={tmp_path}/a"]
    with process("src/train.py", *given) as run:
        wait_for(lambda: saved(tmp_path) == 2)
        (job, _) = sorted(tmp_path.rglob("slurm_id"))
        said("scancel", "--signal=USR1", number := job.read_text())  # as before its time is over
        wait_for(lambda: job.is_file() and job.read_text() != number)
        urgent = said(
            "sbatch", "--parsable", "--output=/dev/null", "-p", "high", "-n2", "--wrap", "sleep 3"
        ).strip()
        wait_for(lambda: urgent not in said("squeue", "--noheader", "--format=%i"))
        _, err = run.communicate(timeout=200)
    assert (run.returncode, err) == (0, "")
    logs = [path.read_text() for path in tmp_path.glob("a/multirun/*/*/train.log")]
    assert all("going on at epoch" in log for log in logs)
    command("train", *words, "hydra/launcher=basic", outputs=tmp_path / "b")
    assert_same_weights(tmp_path / "a", tmp_path / "b", 2)


def test_a_killed_sweep_finds_its_jobs_in_the_queue_again(running: None, tmp_path: Path) -> None:
    words = ["-m", *QUICK, "trainer.max_epochs=100", "trainer.limit_train_batches=60", "seed=3"]
    with process("src/train.py", *words, *SLURM, f"paths.outputs_dir={tmp_path}") as run:
        wait_for(lambda: saved(tmp_path))
        run.kill()
    folder = folder_of_sweep(tmp_path)
    number = (folder / "00" / "slurm_id").read_text()
    again = ["-m", f"sweep={folder}", "hydra.launcher.poll_seconds=1"]
    with process("src/train.py", *again) as run:
        _, err = run.communicate(timeout=120)
    assert (run.returncode, err) == (0, "")
    assert said("squeue", "--noheader") == ""
    assert json.loads((folder / "00" / "metrics.json").read_text())["epochs"] == 100
    assert "going on" not in (folder / "00" / "train.log").read_text()
    ids = [path.name.partition("_")[0] for path in (folder / ".slurm").glob("*_submission.sh")]
    assert set(ids) <= {number, "submission"}


def test_a_cancelled_job_is_recorded_and_the_others_go_on(running: None, tmp_path: Path) -> None:
    words = ["-m", *QUICK, "trainer.limit_train_batches=60", "trainer.max_epochs=5,3000,0"]
    with process("src/train.py", *words, *SLURM, f"paths.outputs_dir={tmp_path}") as run:
        wait_for(lambda: saved(tmp_path) == 2)
        folder = folder_of_sweep(tmp_path)
        said("scancel", (folder / "01_max_epochs-3000" / "slurm_id").read_text())
        out, err = run.communicate(timeout=120)
    assert run.returncode != 0
    assert ": 3 jobs, 1 finished, 1 stopped, 1 failed" in out
    line = "trainer.max_epochs=0: expected a whole number from 1, or -1 for no limit\n"
    assert f"error: job 2 (trainer.max_epochs=0): {line}" in err


def test_ctrl_c_empties_the_queue(running: None, tmp_path: Path) -> None:
    words = ["-m", *QUICK, "trainer.max_epochs=3000", "seed=1,2,3"]
    with process("src/train.py", *words, *SLURM, f"paths.outputs_dir={tmp_path}") as run:
        wait_for(lambda: saved(tmp_path) == 2)
        run.send_signal(2)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err.splitlines()[-1].startswith("stopped; go on with python src/train.py -m sweep=")
    assert said("squeue", "--noheader") == ""
    statuses = sorted(tmp_path.glob("multirun/*/*/status.json"))
    assert [json.loads(path.read_text())["status"] for path in statuses] == ["stopped"] * 2
