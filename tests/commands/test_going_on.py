import os
from pathlib import Path

import hydra
import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.commands import going_on
from digits.errors import InputError
from digits.files import CONFIGS
from digits.runs.words import Words, quoted
from digits.sweeps.sweep_folder import SweepFolder

RUN_COULD_SAY = [
    "model/optimizer=adamw", "+experiment=reference", "~callbacks.bar",
    "model.optimizer.lr=1e-3", "logger=[csv,tensorboard]",
    "++trainer.fast_dev_run=true", "callbacks.early_stopping.patience=2", "test=false",
    "paths.data_dir=/data sets/mnist", "model.scheduler.eta_min=-0.1",
    "trainer=ddp", "trainer.profiler=simple", "callbacks.best.monitor=val/loss",
]  # fmt: skip


FOLDER_COULD_SAY = [
    "model._target_=os.system", "+x={_target_:os.system}", "model.x=a\nb", "--config-dir=/evil",
    "callbacks.samples.path=/home/me/.bashrc", "hydra.searchpath=[file:///evil]", "-m",
    "seed=${oc.env:SECRET}", "data.mirrors=[http://evil]", "paths.root_dir=/etc",
    "trainer.profiler.filename=x", "hydra/callbacks=evil", "++trainer.devices=6",
    "trainer.num_nodes=2", "trainer.strategy=ddp", "~trainer.strategy", "trainer.strategy.x=1",
    "trainer.oversubscribe=true", "+trainer.default_root_dir=x", "experiment=../../evil",
]  # fmt: skip


def folder_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".hydra" / "overrides.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tmp_path


def rewritten(*given: str) -> list[str]:
    return going_on.rewritten("train", Words.parse(given)).argv()


def words(tmp_path: Path, *given: str, before: list[str]) -> list[str]:
    folder = folder_of(tmp_path, yaml.safe_dump(before))
    return rewritten(f"resume={quoted(folder)}", *given)


def to(folder: Path) -> list[str]:
    return [f"resume='{folder}'", f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


def with_checkpoint(folder: Path, name: str) -> Path:
    path = folder / "checkpoints" / name
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_plain_settings_of_the_run_are_taken_over(tmp_path: Path) -> None:
    """But for where it was, and for what is given again."""
    given = ["seed=9", "model._target_=mine.Model"]
    where = ["hydra.run.dir=/etc/x", "task_name=x", "paths.outputs_dir=/etc"]
    before = [*where, "seed=5", "model._target_=os.system", *RUN_COULD_SAY]
    assert words(tmp_path, *given, before=before) == [*to(tmp_path), *RUN_COULD_SAY, *given]


def test_a_folder_is_not_trusted_with_code_or_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        words(tmp_path, before=["seed=1", *FOLDER_COULD_SAY])
    told = " ".join(FOLDER_COULD_SAY)
    assert str(caught.value) == (
        f"resume={tmp_path}: its run was started with {told}, which is not taken from a file; "
        "expected it to be given again"
    )


def stopped(folder: Path, *given: str) -> str:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        words = [*given, "paths.outputs_dir=x"]
        cfg = hydra.compose("train", words, return_hydra_config=True)
    cfg.paths.output_dir = str(folder)
    HydraConfig.instance().set_config(cfg)
    return going_on.after_stop(cfg)


def test_a_stopped_run_says_what_to_type(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb"
    assert stopped(folder) == "stopped; nothing was saved yet"
    last = with_checkpoint(folder, "last.ckpt")
    line = rf"stopped; go on with resume={tmp_path}/a\nb"
    assert stopped(folder, "trainer=ddp_sim", "seed=3") == line
    given = ["trainer.devices=2", "seed=3", "data.mirrors=['http://a b']"]
    again = """trainer.devices=2 'data.mirrors=['"'"'http://a b'"'"']'"""
    assert stopped(folder, *given) == f"{line} {again}"
    once_more = [f"resume='{tmp_path}'", f"ckpt_path='{last.parent}'", *given]
    assert stopped(tmp_path / "a\nb", *once_more) == f"{line} {again}"


def test_its_images_are_no_part_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder := tmp_path / "a b")
    escaped = str(folder).replace(" ", r"\ ")
    for place in (f"'{folder}/data'", f"{folder}/../a b/.", "link", escaped):
        word = f"paths.data_dir={place}"
        with pytest.raises(InputError, match=r"paths\.data_dir=.* is not taken from a file"):
            words(folder, before=[word])
        assert word in words(folder, word, before=[word])


def test_a_run_goes_on_where_it_is_and_not_where_it_began(tmp_path: Path) -> None:
    before = ["ckpt_path=/somewhere/else.ckpt"]
    assert words(tmp_path, before=before) == [*to(tmp_path), *before]  # nothing was saved yet
    with_checkpoint(tmp_path, "previous.ckpt")  # last.ckpt was removed
    assert words(tmp_path, before=before) == to(tmp_path)


def test_a_folder_without_readable_settings_is_no_runs(tmp_path: Path) -> None:
    aliases = "- &a " + "x" * 10_000 + "\n" + "- *a\n" * 200
    for text in ("", "a: b\n", "- 1\n", "\0", "- &a [*a]\n", "- a\n- " + "[" * 1500, aliases):
        folder = folder_of(tmp_path, text)
        with pytest.raises(InputError, match=r"no run's folder: .*overrides\.yaml is missing or"):
            rewritten(f"resume={folder}")


REFUSED = {
    "resume=latest ckpt_path=x": "resume=latest ckpt_path=x: expected one of them",
    "resume=x -m": "resume=x: goes on with one run; expected no -m",
    "ckpt_path=latest hydra.mode=MULTIRUN": "ckpt_path=latest: goes on with one run; expected no",
    "resume=x train=false": "resume=x train=false: expected ckpt_path=FILE, to test it",
    "resume=latest paths.outputs_dir=nowhere": "resume=latest: no run under nowhere has a checkpo",
    "resume=/nowhere": "resume=/nowhere: no run's folder: ",
    "sweep=x": "sweep=x: goes on with a sweep; expected -m too",
    "-m sweep=/none": "sweep=/none: no sweep's folder: /none/sweep.json is mi",
    "-m sweep=latest paths.outputs_dir=nowhere": "sweep=latest: no sweep under nowhere yet; pytho",
}


def test_what_cannot_be_gone_on_with_is_named_and_other_command_lines_stay() -> None:
    for given, line in REFUSED.items():
        with pytest.raises(InputError) as caught:
            rewritten(*given.split())
        assert str(caught.value).startswith(line)
    for words in (["resume=null"], ["ckpt_path=latest", "train=False"], ["--multirun", "seed=0,1"]):
        assert rewritten(*words) == words


def test_nothing_is_written_through_links_and_pipes(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(["seed=0,1"], {})
    (tmp_path / "checkpoints").mkdir()
    for name, make in {
        "train.log": lambda path: path.symlink_to(__file__),
        "tensorboard": lambda path: path.symlink_to(tmp_path.parent),
        "checkpoints/last.ckpt": os.mkfifo,
    }.items():
        make(tmp_path / name)
        with pytest.raises(InputError, match=f"{name} is a link or a device"):
            words(tmp_path, before=[])
        with pytest.raises(InputError, match=f"{name} is a link or a device"):
            rewritten("-m", f"sweep={tmp_path}")
        (tmp_path / name).unlink()


def test_any_folder_can_be_named(tmp_path: Path) -> None:
    for name in ("a, b", "it's", "tail\\", "é(1)[2]{3}=4"):
        folder = folder_of(tmp_path / name, "[]\n")
        text = quoted(folder)
        override = OverridesParser.create().parse_override(f"resume={text}")
        assert str(override.value()) == str(folder)
        assert rewritten(f"resume={text}")[0] == f"resume={text}"


# a sweep

SWEEP_COULD_SAY = [
    "model.optimizer.lr=1e-4,3e-4", "seed=range(10)", "model/optimizer=adam,sgd",
    "experiment=glob(*)", "model.hidden_size=tag(log, interval(0.0001, 0.1))",
    "hydra/launcher=local", "hydra/sweeper/sampler=gp", "hydra.sweeper.n_trials=10",
    "hydra.launcher.jobs=2", "hydra.sweeper.sampler.n_startup_trials=5",
    "hparams_search=mnist_optuna", "++trainer.fast_dev_run=true",
]  # fmt: skip


NOT_FOR_A_SWEEP = [
    "hydra.sweeper.sampler._target_=os.system", "hydra.sweeper.storage=postgresql://a/b",
    "model._target_=os.system,os.getcwd", "data.mirrors=[http://evil]", "trainer.devices=2,99",
    "hydra.launcher.setup=[rm]", "hydra.sweep.dir=/etc", "x=choice(${oc.env:HOME},2)",
    "callbacks.best.dirpath=/a,/b", "hydra/callbacks=evil",
]  # fmt: skip


def test_plain_words_are_taken_over(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(SWEEP_COULD_SAY, {})
    where = [f"sweep='{tmp_path}'", f"hydra.sweep.dir='{tmp_path}'"]
    assert rewritten("-m", f"sweep={tmp_path}") == ["--multirun", *where, *SWEEP_COULD_SAY]
    words = rewritten("seed=0,1,2", f"sweep={tmp_path}", "-m")
    assert words[3:] == [*(w for w in SWEEP_COULD_SAY if w != "seed=range(10)"), "seed=0,1,2"]


def test_words_that_could_do_harm_are_to_be_given_again(tmp_path: Path) -> None:
    SweepFolder(tmp_path).write(["seed=0,1", *NOT_FOR_A_SWEEP], {})
    with pytest.raises(InputError) as refused:
        rewritten("-m", f"sweep={tmp_path}")
    assert str(refused.value) == (
        f"sweep={tmp_path}: it was started with {' '.join(NOT_FOR_A_SWEEP)}, which is not taken "
        "from a file; expected it to be given again"
    )
    assert rewritten("-m", f"sweep={tmp_path}", *NOT_FOR_A_SWEEP)[4:] == NOT_FOR_A_SWEEP


def test_the_latest_is_the_one_written_last(tmp_path: Path) -> None:
    for age, name in enumerate(("b", "c", "a")):
        sweep = SweepFolder(tmp_path / "multirun" / name)
        sweep.write(["seed=0,1"], {})
        os.utime(sweep.file, (age, age))
    words = rewritten("-m", "sweep=latest", f"paths.outputs_dir={tmp_path}")
    assert f"hydra.sweep.dir='{tmp_path}/multirun/a'" in words
