"""Sweeps that share a study in a real PostgreSQL."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from digits.sweeps.study import opened
from support import postgres
from support.commands import process
from support.sweeps import QUICK, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres.programs(), reason="needs PostgreSQL's initdb"),
]
SEARCH = (
    *QUICK, "hparams_search=mnist_optuna", "hydra.sweeper.n_trials=10", "hydra/launcher=local",
    "hydra.sweeper.study_name=shared",
)  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


def test_two_sweeps_open_a_new_study_at_once_are_killed_and_go_on(url: str, tmp_path: Path) -> None:
    """One as its first job has begun, the other as one has ended."""
    shared = (f"hydra.sweeper.storage={url}", "hydra.sweeper.study_name=shared")
    outputs = [tmp_path / name for name in "ab"]
    begin = [["-m", *SEARCH, *shared, f"paths.outputs_dir={folder}"] for folder in outputs]
    with (
        process("src/train.py", *begin[0], start_new_session=True) as one,
        process("src/train.py", *begin[1], start_new_session=True) as two,
    ):
        for run, folder, what in zip(
            (one, two), outputs, ("status.json", "metrics.json"), strict=True
        ):
            wait_for(lambda f=folder, w=what: any(f.rglob(w)), run)  # type: ignore[misc]
            os.killpg(run.pid, signal.SIGKILL)
    again = [["-m", "sweep=latest", *shared, f"paths.outputs_dir={folder}"] for folder in outputs]
    with process("src/train.py", *again[0]) as one, process("src/train.py", *again[1]) as two:
        assert [run.communicate(timeout=300)[1] for run in (one, two)] == ["", ""]
        assert (one.returncode, two.returncode) == (0, 0)
    storage, study = opened(url, "shared", ["maximize"])
    trials = study.get_trials()
    storage.engine.dispose()
    counted = [trial for trial in trials if "sweep" in trial.user_attrs]  # that became jobs
    assert {trial.state.name for trial in counted} <= {"COMPLETE", "PRUNED"}
    assert len(counted) == 10
    ran = [p.parent.name for folder in outputs for p in folder.glob("multirun/*/*/status.json")]
    numbers = [int(name.partition("_")[0]) for name in ran]
    assert sorted(numbers) == sorted(trial.number for trial in counted)
    assert [len(list(folder.glob("multirun/*"))) for folder in outputs] == [1, 1]
