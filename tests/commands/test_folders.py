"""No job writes into the folder of another, whatever the words that send it there."""

import datetime
from pathlib import Path

import pytest

from digits.commands import folders
from digits.runs.folder import RunFolder
from digits.runs.words import quoted
from support.commands import Outcome, command

ANOTHER = "a run is there already; expected a new folder"


def refused(outcome: Outcome, line: str) -> None:
    assert outcome.code == 2
    assert outcome.err == f"error: {line}\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run."""
    folder = tmp_path / "ended"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
    (folder / "train.log").write_text("Epoch 1/1\n")
    return folder


WAYS = {
    "quoted, forced, with a slash": ['++hydra.run.dir="{}/"'],
    "through a setting and a variable": [
        "paths.root_dir=${{oc.env:ELSEWHERE}}", "hydra.run.dir=${{paths.root_dir}}",
    ],
    "a sweep's": ["-m", "hydra.sweep.dir='{}'", "seed=-1"],
}  # fmt: skip


@pytest.mark.parametrize("words", WAYS.values(), ids=WAYS.keys())
def test_no_words_send_a_run_into_the_folder_of_another(
    words: list[str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [path for path in run.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in paths]
    monkeypatch.setenv("ELSEWHERE", str(run))
    given = [word.format(run) for word in words]
    outcome = command("train", *given, outputs=tmp_path / "outputs")
    assert outcome.code == 2
    assert outcome.err.endswith(f"{ANOTHER}\n")
    assert outcome.err.count("\n") == 1
    assert [path for path in run.rglob("*") if path.is_file()] == paths
    assert [path.read_bytes() for path in paths] == before


def test_a_run_without_hydras_files_is_one(tmp_path: Path) -> None:
    for mark in ("checkpoints/last.ckpt", "metrics.json", "tensorboard/x"):
        path = tmp_path / mark.replace("/", "-") / mark
        path.parent.mkdir(parents=True)
        path.touch()
        assert RunFolder(tmp_path / mark.replace("/", "-")).has_run()


def test_a_sweeps_jobs_have_folders_of_their_own(tmp_path: Path) -> None:
    outcome = command("train", "-m", "seed=-1,-2", "hydra.sweep.subdir=same", outputs=tmp_path)
    refused(
        outcome,
        "hydra.sweep.subdir=same: of job 0 (seed=-1) and of job 1 (seed=-2); expected a folder of "
        "each",
    )
    assert list(tmp_path.glob("multirun/*")) == []


def test_a_run_goes_on_in_its_own_folder_alone(run: Path, tmp_path: Path) -> None:
    given = [f"resume={quoted(run)}", f"hydra.run.dir={tmp_path}/b"]
    outcome = command("train", *given, outputs=tmp_path / "outputs")
    refused(outcome, f"resume={run} hydra.run.dir={tmp_path}/b: expected one of them")
    assert [path.name for path in tmp_path.iterdir()] == [run.name]


REFUSED = {
    "hydra.run.dir=' '": "hydra.run.dir= : expected a folder",
    "-m hydra.sweep.subdir=": "hydra.sweep.subdir=: expected a folder",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_makes_no_folder(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = words.split(" ", 1) if words.startswith("-m") else [words]
    refused(command("train", *given, outputs=tmp_path / "outputs"), REFUSED[words])
    assert list(tmp_path.glob("outputs/*/*")) == []
    assert [path for path in tmp_path.iterdir() if path.name != "outputs"] == []


@pytest.mark.parametrize(("given", "mode"), [("''", "hydra.mode=RUN"), ("null", "-m")])
def test_an_unset_outputs_folder_is_not_the_root(
    given: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("a folder is made"))
    outcome = command("train", mode, outputs=given)
    refused(outcome, f"paths.outputs_dir={given.strip(chr(39))}: expected a path")
    assert list(tmp_path.iterdir()) == []


def test_runs_of_the_same_instant_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(datetime.datetime):
        ticks = iter([0, 0, 0, 1, 1, 2])  # three processes read the same clock, twice

        @classmethod
        def now(cls, tz: object = None) -> datetime.datetime:
            return datetime.datetime(2026, 1, 2, 3, 4, 5, next(cls.ticks))

    monkeypatch.setattr(folders, "datetime", Stuck)
    made = [folders.new_folder(tmp_path) for _ in range(3)]
    assert len(set(made)) == 3
    assert made[0].name == "2026-01-02_03-04-05-000000"
