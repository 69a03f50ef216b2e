"""The jobs of a sweep: which there are, and where."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.errors import InputError
from digits.sweeps.sweep import grid
from digits.sweeps.sweep_folder import SweepFolder
from support.commands import UNSEEN, Outcome, command
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


@pytest.mark.parametrize("value", ["it's", "a b", "x,y", "é", "1e-3", "${oc.env:HOME}"])
def test_a_value_stays_what_it_was(value: str) -> None:
    from digits.runs.words import quoted

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


@pytest.mark.parametrize("choice", ["hydra/launcher", "hydra/sweeper"])
def test_other_launchers_and_sweepers_are_refused(choice: str, tmp_path: Path) -> None:
    there = tmp_path / "configs" / choice
    there.mkdir(parents=True)
    (there / "foreign.yaml").write_text("_target_: hydra_plugins.foreign.Foreign\n")
    words = (f"--config-dir={tmp_path}/configs", "-m", f"{choice}=foreign", "seed=0,1")
    outcome = command("train", *words, outputs=tmp_path / "outputs")
    known = {"hydra/launcher": "local, basic, slurm, ray", "hydra/sweeper": "grid, optuna"}[choice]
    assert (outcome.code, outcome.err) == (
        2, f"error: {choice}=foreign: expected one of {known}\n"
    )  # fmt: skip
    assert not (tmp_path / "outputs").exists()


OUTSIDE = ["/abs/thesis", "../other", "a/../../other", "..", "", ".", "a\nb"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_job_is_outside_of_its_sweep(name: str, tmp_path: Path) -> None:
    """Else what a stranger's file names would be removed, or trained in."""
    thesis = tmp_path / "other"
    (thesis / ".hydra").mkdir(parents=True)
    (thesis / "metrics.json").write_text("{}")
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    jobs = {name.replace("/abs/thesis", str(thesis)): ["seed=0"]}
    (sweep / "sweep.json").write_text(json.dumps({"words": ["seed=0"], "jobs": jobs}))
    outcome = command("train", "-m", f"sweep={sweep}", *QUICK, outputs=tmp_path / "outputs")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {sweep}/sweep.json: job ")
    assert outcome.err.endswith(": expected a name inside its folder\n")
    assert [path.name for path in thesis.iterdir()] == [".hydra", "metrics.json"] or sorted(
        path.name for path in thesis.iterdir()
    ) == [".hydra", "metrics.json"]


def test_a_link_to_another_folder_is_no_job(tmp_path: Path) -> None:
    thesis = job(tmp_path, "thesis", ["seed=0"], "running")
    sweep = SweepFolder(tmp_path / "sweep")
    sweep.write(["seed=0"], {"0": ["seed=0"]})
    (sweep.path / "0").symlink_to(thesis)
    with pytest.raises(InputError, match="job 0: expected a name inside its folder"):
        sweep.planned()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outputs = tmp_path_factory.mktemp("begun")
    return command("train", "-m", "hydra/launcher=basic", "seed=0,1", *QUICK, outputs=outputs)


def test_a_jobs_folder_is_named_after_what_differs(begun: Outcome) -> None:
    (folder,) = begun.outputs.glob("multirun/*")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        "00_seed-0", "01_seed-1"
    }  # fmt: skip
    assert begun.out.splitlines()[0] == "#0 : seed=0"


def test_replicates_alone_choose_nothing_and_are_tested(begun: Outcome) -> None:
    for path in begun.outputs.glob("multirun/*/*/metrics.json"):
        assert 0 <= json.loads(path.read_text())["test/acc"] <= 1


def test_resume_passes_a_sweeps_jobs_over(begun: Outcome) -> None:
    before = {path: path.read_bytes() for path in begun.outputs.rglob("*.json")}
    outcome = command("train", "resume=latest", "trainer.max_epochs=3", outputs=begun.outputs)
    assert (outcome.code, outcome.err) == (
        2,
        f"error: resume=latest: no run under {begun.outputs} has a checkpoint yet; "
        "python src/train.py -m sweep=latest goes on with a sweep\n",
    )
    assert {path: path.read_bytes() for path in begun.outputs.rglob("*.json")} == before


def test_a_sweep_whose_folders_are_numbers_goes_on(tmp_path: Path) -> None:
    """As they were before they said what differs."""
    sweep = tmp_path / "multirun" / "old"
    for name in ("0", "1"):
        job(sweep, name, [*QUICK, f"seed={name}"], acc=0.5)
    words = [*QUICK, "seed=0,1"]
    jobs = {name: [*QUICK, f"seed={name}"] for name in ("0", "1")}
    (sweep / "sweep.json").write_text(json.dumps({"words": words, "jobs": jobs}))
    given = ("-m", f"sweep={sweep}", "seed=0,1,2", "hydra/launcher=basic")
    outcome = command("train", *given, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("2 of 3 jobs are finished already\n#2 : seed=2\n")
    names = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert names == ["0", "02_seed-2", "1"]


def test_three_thousand_jobs_are_planned_in_linear_time(tmp_path: Path) -> None:
    """Twice as many take about twice as long, in CPU seconds."""
    from digits.sweeps import sweep

    def seconds(count: int) -> float:
        plan: Any = object.__new__(sweep.Sweep)
        plan.folder = SweepFolder(tmp_path / str(count))
        plan.config, plan.names, plan.replicates = {"sweep": None}, {}, ["seed"]
        plan._new_name = lambda words, number, count, told: f"{number:04}"
        each = [(f"seed={i}", "model.hidden_size=4") for i in range(count)]
        before = time.process_time()
        assert len(plan._planned(each)) == count
        return time.process_time() - before

    seconds(100)
    assert seconds(3000) < 4 * seconds(1500)
