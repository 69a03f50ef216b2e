"""Sweeps that share a study in a real PostgreSQL."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from digits.sweeps.study import opened, space_of, trial
from support import postgres
from support.commands import UNSEEN, process, python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres.programs(), reason="needs PostgreSQL's initdb"),
]
QUICK = (
    "hparams_search=mnist_optuna", "hydra.sweeper.n_trials=30", "trainer.max_epochs=3",
    "trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "logger=csv",
    *UNSEEN, "hydra.sweeper.study_name=shared", "hydra/launcher=local",
)  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.server() as url:
        yield url


def test_two_sweeps_open_a_new_study_at_once_are_killed_and_go_on(url: str, tmp_path: Path) -> None:
    random.seed(0)
    where = f"hydra.sweeper.storage={url}"
    outputs = [tmp_path / name for name in "ab"]
    begin = [["-m", *QUICK, where, f"paths.outputs_dir={folder}"] for folder in outputs]
    for kill in range(2):
        words = begin if not kill else [
            ["-m", "sweep=latest", where, "hydra.sweeper.study_name=shared",
             f"paths.outputs_dir={folder}"] for folder in outputs
        ]  # fmt: skip
        with (
            process("src/train.py", *words[0], start_new_session=True) as one,
            process("src/train.py", *words[1], start_new_session=True) as two,
        ):
            for run in (one, two):
                time.sleep(random.uniform(5, 9))
                assert run.poll() is None, run.communicate()
                os.killpg(run.pid, signal.SIGKILL)
    with (
        process("src/train.py", *words[0]) as one,
        process("src/train.py", *words[1]) as two,
    ):
        assert one.communicate(timeout=300)[1] == ""
        assert two.communicate(timeout=300)[1] == ""
        assert (one.returncode, two.returncode) == (0, 0)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="shared", storage=storage)
    trials = study.trials
    storage.engine.dispose()
    counted = [trial for trial in trials if "sweep" in trial.user_attrs]  # that became jobs
    assert {trial.state.name for trial in counted} <= {"COMPLETE", "PRUNED"}
    assert len(counted) == 30
    ran = [
        path.parent.name for folder in outputs for path in folder.glob("multirun/*/*/status.json")
    ]
    assert sorted((name.partition("_")[0].lstrip("0") or "0" for name in ran), key=int) == sorted(
        (str(t.number) for t in counted), key=int
    )
    for folder in outputs:
        assert len(list(folder.glob("multirun/*"))) == 1


def test_a_new_database_is_made_by_one_of_several(url: str) -> None:
    program = (
        "import sys; from digits.sweeps.study import opened; "
        "_, study = opened(sys.argv[1], 'many', ['maximize']); print(len(study.get_trials()))"
    )
    other = url.replace("/postgres", "/template1")
    with (
        process("-c", program, other) as a, process("-c", program, other) as b,
        process("-c", program, other) as c,
    ):  # fmt: skip
        assert [run.communicate(timeout=60) for run in (a, b, c)] == [("0\n", "")] * 3
    assert python("-c", program, other).stdout == "0\n"


def test_words_in_it_are_nobodys(url: str) -> None:
    storage, study = opened(url, "foreign", ["maximize"])
    study.ask().set_user_attr("words", ["+model={_target_: os.system}"])
    made = space_of({"lr": "interval(0.0, 1.0)"}, {}, [])
    (word,) = made.words(trial(storage, study, 0))
    assert word == f"lr={study.trials[0].params['lr']}"
    assert made.words(trial(storage, study, 0)) == [word]
    storage.engine.dispose()
