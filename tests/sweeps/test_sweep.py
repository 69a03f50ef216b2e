"""The jobs of a sweep: which there are, and where."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.runs.words import quoted
from digits.sweeps.sweep import grid
from digits.sweeps.sweep_folder import SweepFolder, identity
from support.commands import UNSEEN, command
from support.sweeps import job

QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_test_batches=1",
         "model.hidden_size=4", *UNSEEN, "logger=csv")  # fmt: skip


def test_every_combination_once_in_order() -> None:
    given = ["seed=range(2)", "a.b=x,y", "+c=[1,2]", "~d"]
    assert grid(given, {"e": "1"}, None) == [
        ("e=1", "seed=0", "a.b=x", "+c=[1,2]", "~d"),
        ("e=1", "seed=0", "a.b=y", "+c=[1,2]", "~d"),
        ("e=1", "seed=1", "a.b=x", "+c=[1,2]", "~d"),
        ("e=1", "seed=1", "a.b=y", "+c=[1,2]", "~d"),
    ]
    assert grid(["e=3"], {"e": "1,2"}, None) == [("e=3",)]
    for value in ("it's", "x,y", "é", "${oc.env:HOME}"):
        ((word,),) = grid([f"a={quoted(value)}"], {}, None)
        assert OverridesParser.create().parse_override(word).value() == value


def test_an_interval_is_for_a_search(tmp_path: Path) -> None:
    outcome = command("train", "-m", "model.optimizer.lr=interval(0, 1)", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (
        2,
        "error: model.optimizer.lr=interval(0, 1): an interval has no end of values; expected "
        "hydra/sweeper=optuna too, or a list of values\n",
    )
    assert list(tmp_path.glob("multirun/*")) == []


@pytest.mark.parametrize(
    ("choice", "known"),
    [("hydra/launcher", "local, basic, slurm, ray"), ("hydra/sweeper", "grid, optuna")],
)
def test_other_launchers_and_sweepers_are_refused(choice: str, known: str, tmp_path: Path) -> None:
    there = tmp_path / "configs" / choice
    there.mkdir(parents=True)
    (there / "foreign.yaml").write_text("_target_: hydra_plugins.foreign.Foreign\n")
    words = (f"--config-dir={tmp_path}/configs", "-m", f"{choice}=foreign", "seed=0,1")
    outcome = command("train", *words, outputs=tmp_path / "outputs")
    line = f"error: {choice}=foreign: expected one of {known}\n"
    assert (outcome.code, outcome.err) == (2, line)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("name", ["{}/thesis", "../thesis"])
def test_no_job_is_outside_of_its_sweep(name: str, tmp_path: Path) -> None:
    """Else what a stranger's file names would be removed, or trained in."""
    thesis = job(tmp_path, "thesis", ["seed=0"], "running")
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.write(["seed=0"], {name.format(tmp_path): ["seed=0"]})
    outcome = command("train", "-m", f"sweep={sweep.path}", *QUICK, outputs=tmp_path / "outputs")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {sweep.file}: job ")
    assert outcome.err.endswith(": expected a name inside its folder\n")
    assert {path.name for path in thesis.iterdir()} == {".hydra", "status.json"}


def test_a_sweep_whose_folders_are_numbers_goes_on(tmp_path: Path) -> None:
    """As they were before they said what differs. What diverged would diverge again."""
    sweep = tmp_path / "multirun" / "old"
    for name, status in (("0", "finished"), ("1", "diverged")):
        job(sweep, name, [*QUICK, f"seed={name}"], status, acc=0.5)
    jobs = {name: [*QUICK, f"seed={name}"] for name in ("0", "1")}
    SweepFolder(sweep).write([*QUICK, "seed=0,1"], jobs)
    given = ("-m", f"sweep={sweep}", "seed=0,1,2", "hydra/launcher=basic")
    outcome = command("train", *given, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("2 of 3 jobs are finished already\n#2 : seed=2\n")
    names = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert names == ["0", "02_seed-2", "1"]


def test_a_job_is_known_by_what_it_does() -> None:
    words = ["seed=1", "model.optimizer.lr=0.1", "paths.outputs_dir=/a", "test=false", "sweep=/b"]
    assert identity(words) == ("model.optimizer.lr=0.1", "seed=1")
    assert identity(["model.optimizer.lr=0.1", "seed=1", "resume=/c"]) == identity(words)


def test_known_are_those_that_ran_and_those_that_were_to(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    for name, seed in (("0", 5), ("10", 6), ("9_lr-3", 7), ("a/b", 8)):
        job(tmp_path, name, [f"seed={seed}"])
    sweep.write(["seed=5,9"], {"0": ["seed=null"], "3": ["seed=9"]})
    assert sweep.known() == {
        ("seed=null",): "0", ("seed=6",): "10", ("seed=7",): "9_lr-3", ("seed=8",): "a/b",
        ("seed=9",): "3",
    }  # fmt: skip
    assert [sweep.name(run) for run in sweep.runs()] == ["0", "9_lr-3", "10", "a/b"]
