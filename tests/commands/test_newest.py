"""Which run, checkpoint or sweep is the newest, and which job of a sweep is taken."""

import json
import os
from pathlib import Path

import pytest

from digits.commands import newest
from digits.errors import InputError
from digits.runs.folder import newest_run
from support.commands import tool
from support.sweeps import job


def trained(folder: Path, age: int) -> Path:
    last = folder / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    os.utime(last, (age, age))
    return folder


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A run, and a newer sweep whose second job is best, though its third was saved last."""
    trained(tmp_path / "train" / "a", 1)
    sweep = tmp_path / "multirun" / "b"
    for age, (name, score) in enumerate({"0": 0.8, "1": 0.9, "2": 0.7}.items(), 2):
        trained(job(sweep, name, [f"model.optimizer.lr={name}"], acc=score), age)
    (sweep / "1" / "checkpoints" / "best.ckpt").touch()
    (sweep / "sweep.json").write_text(json.dumps({"words": ["seed=0"], "jobs": {}}))
    return tmp_path


def test_a_newer_sweep_stands_for_its_winner_a_newer_run_for_itself(outputs: Path) -> None:
    winner = outputs / "multirun" / "b" / "1"
    assert newest.run_or_winner(outputs, "latest").path == winner
    best = winner / "checkpoints" / "best.ckpt"
    assert newest.checkpoint("latest", str(outputs)) == best
    assert newest_run(outputs, "resume=latest").path == outputs / "train" / "a"
    run = trained(outputs / "train" / "c", 9)
    assert newest.checkpoint("latest", str(outputs)) == run / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"ckpt_path=latest: no run under .*/none has a checkp"):
        newest.checkpoint("latest", str(outputs / "none"))


def test_a_sweep_that_chose_nothing_stands_for_its_newest_job(tmp_path: Path) -> None:
    sweep = tmp_path / "multirun" / "b"
    for age, seed in enumerate(("0", "1")):
        trained(job(sweep, seed, [f"seed={seed}"]), age)
    (sweep / "sweep.json").write_text("{}")
    assert newest.run_or_winner(tmp_path, "latest").path == sweep / "1"


def test_the_winner_that_predict_takes_is_named(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(It is no checkpoint: the line says which file was taken.)"""
    (tmp_path / "here").mkdir()
    outputs.joinpath("multirun").rename(tmp_path / "here" / "multirun")
    (tmp_path / "here").rename(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    picture = str(Path(__file__).parents[2] / "docs/drawings/photo.jpg")
    code, _, err = tool("predict", picture, "--ckpt", "latest")
    assert code == 2
    assert err.startswith(f"error: --ckpt {tmp_path}/outputs/multirun/b/1/checkpoints/best.ckpt: ")
