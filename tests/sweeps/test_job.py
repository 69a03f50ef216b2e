"""A job in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from digits.errors import InputError
from digits.runs.folder import RunFolder
from digits.sweeps.job import Job, name_of, to_begin_or_go_on
from support.commands import ROOT, UNSEEN
from support.sweeps import job as folder_of_job

QUICK = (
    "trainer.max_epochs=1", "trainer.limit_train_batches=2", "model.hidden_size=4", "test=false",
    *UNSEEN, "logger=csv",
)  # fmt: skip


def ran(folder: Path, *words: str, threads: int | None = None) -> int:
    job = Job(7, (*QUICK, *words), folder, "", (("A", "b"),), threads=threads, current=str(ROOT))
    assert Job.of_json(job.to_json()) == job
    command = [sys.executable, "-m", "digits.sweeps.job"]
    done = subprocess.run(command, input=job.to_json(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")  # all is in its log
    return done.returncode


@pytest.mark.slow
def test_it_is_a_run_in_the_folder_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "it's here" / "7"
    assert ran(folder, "tags=[j${hydra:job.num}]", threads=1) == 0
    run = RunFolder(folder)
    assert run.status().status == "finished"  # type: ignore[union-attr]
    assert run.measured()["device"] == "cpu, 1 thread"
    assert run.measured()["tags"] == "j7"
    assert "Epoch 1/1 " in (folder / "output.log").read_text()


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    folder = folder_of_job(tmp_path, "0", ["seed=-1"])
    before = (folder / "status.json").read_text()
    assert ran(folder, "seed=-1") == 0
    assert (folder / "status.json").read_text() == before


def test_wrong_input_is_a_line_in_its_log(tmp_path: Path) -> None:
    assert ran(tmp_path / "0", "seed=-1") == 2
    log = (tmp_path / "0" / "output.log").read_text()
    assert log.startswith("error: seed=-1: expected a whole number from 0 to 4294967295")


def test_half_done_goes_on_with_the_seed_it_drew(tmp_path: Path) -> None:
    folder = folder_of_job(tmp_path, "0", ["model.hidden_size=4", "seed=123"], "running")
    run = RunFolder(folder)
    run.checkpoints.mkdir()
    run.last.touch()
    words = ["model.hidden_size=4", "seed=null"]
    resume = f"resume='{folder}'"
    assert to_begin_or_go_on(run, words) == ["model.hidden_size=4", "seed=123", resume]
    run.last.unlink()
    with run.held(), pytest.raises(InputError, match="another process is training there"):
        to_begin_or_go_on(run, words)
    assert run.status_json.is_file()
    assert to_begin_or_go_on(run, words) == words  # and begins anew
    assert not run.has_run()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["model.optimizer.lr=0.001", "seed=2"], "03_lr-0.001_seed-2"),
        (["lr=0.0012635598", "n=10000", "m=1e-05"], "03_lr-0.001264_n-10000_m-1e-05"),
        (["model/optimizer=adam", "+m.note=it is / here"], "03_optimizer-adam_note-it-is-here"),
        (["model.optimizer.lr=1", "model.scheduler.lr=2"], "03_optimizer.lr-1_scheduler.lr-2"),
        (["x=../../etc"], "03_x-etc"),
        (["x=" + "y" * 300], "03_x-" + "y" * 24),
        ([], "03"),
    ],
)
def test_a_jobs_folder_says_what_differs(words: list[str], name: str) -> None:
    assert name_of(3, 12, words) == name


def test_a_jobs_name_is_short_and_its_number_as_wide_as_the_largest() -> None:
    name = name_of(3, 12, [f"x{i}={'y' * 24}" for i in range(20)])
    assert re.fullmatch(r"[\w.+-]{80,100}", name, re.ASCII)
    assert [name_of(7, count, []) for count in (1, 10, 100, 101)] == ["07", "07", "07", "007"]
