"""What a job is known by, and where it is."""

from pathlib import Path

import pytest

from digits.errors import InputError
from digits.sweeps.sweep_folder import SweepFolder, identity
from support.sweeps import job


def test_a_job_is_known_by_what_it_does() -> None:
    words = ["seed=1", "model.optimizer.lr=0.1", "paths.outputs_dir=/a", "test=false", "sweep=/b"]
    assert identity(words) == ("model.optimizer.lr=0.1", "seed=1")
    assert identity(["model.optimizer.lr=0.1", "seed=1", "resume=/c"]) == identity(words)
    assert identity(["model.optimizer.lr=0.1", "seed=2"]) != identity(words)


def test_known_are_those_that_ran_and_those_that_were_to(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    job(tmp_path, "0", ["seed=5"])
    job(tmp_path, "10", ["seed=6"])
    job(tmp_path, "a/b", ["seed=7"])
    sweep.write(["seed=5,8"], {"0": ["seed=null"], "3": ["seed=8"]})
    ran = {("seed=null",): "0", ("seed=6",): "10", ("seed=7",): "a/b"}
    assert sweep.known() == ran | {("seed=8",): "3"}
    assert [sweep.name(run) for run in sweep.runs()] == ["0", "10", "a/b"]


@pytest.mark.parametrize("text", ["", "[]", '{"words": 3}', '{"words": [3]}', "{" * 9999])
def test_what_is_no_sweeps_file_is_refused(text: str, tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    sweep.file.write_text(text)
    with pytest.raises(InputError, match=r"no sweep's folder: .*sweep.json is missing or damaged"):
        sweep.words()
    assert sweep.planned() == {}


def test_jobs_are_sorted_by_their_numbers(tmp_path: Path) -> None:
    for name in ("10_lr-1", "9_lr-3", "09", "b", "100", "a/1"):
        job(tmp_path, name, [])
    sweep = SweepFolder(tmp_path)
    names = [sweep.name(run) for run in sweep.runs()]
    assert names == ["09", "9_lr-3", "10_lr-1", "100", "a/1", "b"]
