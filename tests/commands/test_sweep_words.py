"""The words of a sweep that goes on: its own, as far as they can do no harm."""

from pathlib import Path

import pytest

from digits.commands import sweep_words
from digits.errors import InputError
from digits.sweeps.folder import SweepFolder

PLAIN = [
    "model.optimizer.lr=1e-4,3e-4", "seed=range(10)", "seed=0,1,2", "data.val_size=10000",
    "model=mlp", "model/optimizer=adam,sgd", "experiment=glob(*)", "trainer.max_epochs=2",
    "model.optimizer.lr=tag(log, interval(0.0001, 0.1))", "hydra/launcher=local",
    "hydra/sweeper=optuna", "hydra/sweeper/sampler=gp", "hydra.sweeper.n_trials=10",
    "hydra.launcher.jobs=2", "hydra.sweeper.sampler.n_startup_trials=5",
    "optimized_metric=val/acc", "hparams_search=mnist_optuna", "++trainer.fast_dev_run=true",
]  # fmt: skip
HARMFUL = [
    "hydra.sweeper.sampler._target_=os.system", "hydra.sweeper.storage=postgresql://a/b",
    "model._target_=os.system,os.getcwd", "data.mirrors=[http://evil]", "trainer.devices=2,99",
    "hydra.launcher.setup=[rm]", "hydra.sweep.dir=/etc", "x=choice(${oc.env:HOME},2)", "nonsense",
    "callbacks.best.dirpath=/a,/b", "hydra/callbacks=evil",
    "model.optimizer.lr=choice(a;b,c)",
]  # fmt: skip


@pytest.mark.parametrize("word", PLAIN)
def test_plain_words_are_taken_over(word: str, tmp_path: Path) -> None:
    SweepFolder(tmp_path).write([word], {})
    words = sweep_words.arguments(["-m", f"sweep={tmp_path}"])
    assert words == ["-m", f"sweep='{tmp_path}'", f"hydra.sweep.dir='{tmp_path}'", word]


@pytest.mark.parametrize("word", HARMFUL)
def test_words_that_could_do_harm_are_to_be_given_again(word: str, tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(["seed=0,1", word], {})
    with pytest.raises(InputError) as refused:
        sweep_words.arguments(["-m", f"sweep={tmp_path}"])
    assert str(refused.value) == (
        f"sweep={tmp_path}: it was started with {word}, which is not taken from a file; expected "
        "it to be given again"
    )
    given = ["-m", f"sweep={tmp_path}", word]
    assert sweep_words.arguments(given)[1] == f"sweep={tmp_path}" or word in given


def test_what_is_given_now_replaces_what_was_given(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(["seed=0,1", "data.val_size=10"], {})
    words = sweep_words.arguments(["seed=0,1,2", f"sweep={tmp_path}", "-m"])
    where = [f"sweep='{tmp_path}'", f"hydra.sweep.dir='{tmp_path}'"]
    assert words == [*where, "data.val_size=10", "seed=0,1,2", "-m"]


def test_the_latest_is_the_one_written_last(tmp_path: Path) -> None:
    import os

    for age, name in enumerate(("b", "c", "a")):
        sweep = SweepFolder(tmp_path / "multirun" / name)
        sweep.write(["seed=0,1"], {})
        os.utime(sweep.file, (age, age))
    words = sweep_words.arguments(["-m", "sweep=latest", f"paths.outputs_dir={tmp_path}"])
    assert f"hydra.sweep.dir='{tmp_path}/multirun/a'" in words
    with pytest.raises(InputError, match=f"sweep=latest: no sweep under {tmp_path}/x yet; python"):
        sweep_words.arguments(["-m", "sweep=latest", f"paths.outputs_dir={tmp_path}/x"])


def test_other_command_lines_stay_as_they_are(tmp_path: Path) -> None:
    for words in (["-m", "seed=0,1"], ["sweep=null"], ["resume=x"]):
        assert sweep_words.arguments(words) == words
    with pytest.raises(InputError, match="sweep=x: goes on with a sweep; expected -m too"):
        sweep_words.arguments(["sweep=x"])
    with pytest.raises(InputError, match=r"sweep=/none: no sweep's folder: /none/sweep.json is mi"):
        sweep_words.arguments(["-m", "sweep=/none"])


def test_a_link_in_the_folder_is_refused(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(["seed=0,1"], {})
    (tmp_path / "0").symlink_to("/etc")
    with pytest.raises(InputError, match="is a link or a device; expected none in it"):
        sweep_words.arguments(["-m", f"sweep={tmp_path}"])


def test_what_a_stopped_sweep_says_can_be_typed(tmp_path: Path) -> None:
    words = ["seed=0,1", "data.mirrors=[http://a]"]
    given = ["-m", "--config-dir=/my configs", *words]
    assert sweep_words.how_to_go_on(SweepFolder(tmp_path / "a b"), words, given) == (
        f"stopped; go on with python src/train.py -m sweep='{tmp_path}/a b' "
        "'data.mirrors=[http://a]' --config-dir='/my configs'"
    )
