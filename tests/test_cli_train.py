"""What a run leaves, and that it can be repeated, resumed, swept and tested again."""

import importlib
import json
import signal
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.hydra_config import HydraConfig

from digits.files import CONFIGS
from support import hparams_tab
from support.commands import SHORT, UNSEEN, Outcome, command

FAST = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=10",
    "model.hidden_size=8",
    *UNSEEN,
    "trainer.limit_test_batches=2",
    "test=false",
    "logger=none",
)
WORSE = (*SHORT, *UNSEEN, "model.optimizer.lr=0.05", "data.batch_size=32", "model.hidden_size=64")


def weights(outcome: Outcome, name: str = "last") -> dict[str, torch.Tensor]:
    path = outcome.folder / "checkpoints" / f"{name}.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_output_is_a_line_an_epoch_and_a_table(finished: Outcome) -> None:
    lines = finished.out.splitlines()
    assert lines[0].startswith("Epoch 1/2 loss ")
    assert " acc 0." in lines[0]
    assert " val/acc 0." in lines[0]
    assert lines[1].startswith("Epoch 2/2 loss ")
    table = {line[:14].strip(): line[15:] for line in lines[3:]}
    names = ["test accuracy", "test loss", "device", "checkpoint", "run folder", "report", "curves"]
    assert list(table) == names
    assert table["test accuracy"] == f"{finished.metrics['test/acc']:.4f}"
    assert table["checkpoint"] == str(finished.folder / "checkpoints" / "best.ckpt")
    assert table["run folder"] == str(finished.folder)
    assert finished.err == ""
    assert "\r" not in finished.out
    assert "\x1b" not in finished.out
    log = (finished.folder / "train.log").read_text()
    assert all(line in log for line in lines if line)


def test_metrics_json(finished: Outcome) -> None:
    metrics = finished.metrics
    assert metrics["epochs"] == 2
    assert metrics["seed"] == 0
    assert metrics["parameters"] == 407_050
    assert metrics["test/images"] == 10_000
    assert metrics["torch"] == torch.__version__
    assert metrics["ckpt_path"] == str(finished.folder / "checkpoints" / "best.ckpt")
    for stage in ("train", "val", "test"):
        assert 0.5 < metrics[f"{stage}/acc"] <= 1
        assert 0 < metrics[f"{stage}/loss"] < 2
    assert metrics["val/acc_best"] >= metrics["val/acc"]
    assert metrics["val/loss_best"] <= metrics["val/loss"]
    rate = 2 * 30 * 128 / metrics["fit_seconds"]
    assert metrics["images_per_second"] == pytest.approx(rate, rel=0.01)
    assert 0 < metrics["epoch_seconds"] < metrics["fit_seconds"]


def test_hparams_tab_has_a_column_for_each_score(finished: Outcome) -> None:
    """As TensorBoard's own server answers."""
    (run,) = hparams_tab.runs(finished.folder)
    assert run["status"] == "STATUS_SUCCESS"
    settings = run["hparams"]
    assert (settings["data.batch_size"], settings["trainer.max_epochs"]) == (128, 2)
    assert settings["model"] == "DigitClassifier"
    assert run["metrics"]["test/acc"] == pytest.approx(finished.metrics["test/acc"], abs=1e-6)
    assert {"train/loss", "val/acc", "best/val_acc", "test/loss"} <= run["metrics"].keys()


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The learning rate makes validation worse in epoch 2."""
    outcome = command("train", *WORSE, outputs=tmp_path_factory.mktemp("worse"))
    assert outcome.code == 0, outcome.err
    return outcome


def test_last_is_the_newest_and_best_the_best(worse: Outcome) -> None:
    epochs = [line.split("val/acc ")[1].split()[0] for line in worse.out.splitlines()[:2]]
    assert epochs[0] > epochs[1], "these settings no longer get worse: choose others"
    last, best = (
        torch.load(worse.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        for name in ("last", "best")
    )
    assert (last["global_step"], best["global_step"]) == (60, 30)
    assert last["hyper_parameters"] == {"hidden_size": 64, "side": 28, "classes": 10, "channels": 1}
    assert f"{worse.metrics['val/acc_best']:.4f}" == epochs[0]
    assert worse.metrics["ckpt_path"] == str(worse.folder / "checkpoints" / "best.ckpt")


def test_eval_gives_the_numbers_of_the_run(worse: Outcome, tmp_path: Path) -> None:
    outcome = command("eval", "ckpt_path=latest", outputs=worse.outputs)
    assert outcome.code == 0, outcome.err
    (path,) = worse.outputs.glob("eval/*/metrics.json")
    again = json.loads(path.read_text())
    for name in ("test/acc", "test/loss", "test/images", "ckpt_path"):
        assert again[name] == worse.metrics[name]
    last = f"ckpt_path={worse.folder}/checkpoints/last.ckpt"
    tested = command("train", "train=false", "model.hidden_size=64", last, outputs=tmp_path)
    assert tested.metrics["ckpt_path"].endswith("last.ckpt")
    assert tested.metrics["test/loss"] != worse.metrics["test/loss"]
    assert "train/loss" not in tested.metrics


def test_a_run_that_goes_on_and_gets_worse_keeps_the_best(worse: Outcome, tmp_path: Path) -> None:
    first = command("train", *WORSE, "trainer.max_epochs=1", outputs=tmp_path / "first")
    path = first.folder / "checkpoints" / "last.ckpt"
    rest = command("train", *WORSE, f"ckpt_path={path}", outputs=tmp_path / "rest")
    assert rest.out.startswith(f"going on at epoch 2, batch 0, from {path}\nEpoch 2/2 ")
    assert equal(weights(rest), weights(worse))
    assert equal(weights(rest, "best"), weights(first, "best"))
    assert rest.metrics["ckpt_path"] == str(rest.folder / "checkpoints" / "best.ckpt")
    for name in ("test/loss", "val/acc", "val/acc_best"):
        assert rest.metrics[name] == worse.metrics[name]
    assert rest.metrics["test/loss"] == first.metrics["test/loss"]


def test_a_sweeper_gets_the_best_validation_score(tmp_path: Path) -> None:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        given = ["test=false", "optimized_metric=val/acc", f"paths.output_dir={tmp_path}"]
        cfg = hydra.compose("train", [*WORSE, *given])
    HydraConfig.instance().cfg = None
    best = importlib.import_module("train").main.__wrapped__(cfg)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["val/acc"] < metrics["val/acc_best"]
    assert best == pytest.approx(metrics["val/acc_best"], abs=1e-6)


def test_seed_zero_is_a_seed_and_null_draws_one(tmp_path: Path) -> None:
    runs = [
        command("train", *FAST, f"seed={seed}", outputs=tmp_path / str(i))
        for i, seed in enumerate((0, 0, "null"))
    ]
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))
    assert f"seed {runs[2].metrics['seed']}" in runs[2].out


SWITCHES = {
    "no checkpoints, no bar": (
        ["+trainer.enable_checkpointing=false", "+trainer.enable_progress_bar=false"],
        {"metrics.json", "metrics.csv", "status.json"},
    ),
    "barebones": (["+trainer.barebones=true"], {"status.json"}),
}


@pytest.mark.parametrize(("words", "left"), SWITCHES.values(), ids=SWITCHES.keys())
def test_the_trainer_s_switches_are_heard(words: list[str], left: set[str], tmp_path: Path) -> None:
    outcome = command("train", *FAST[:-2], "logger=csv", *words, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    there = {path.name for path in outcome.folder.iterdir()}
    assert there & {"checkpoints", "metrics.json", "metrics.csv", "status.json"} == left
    assert "checkpoint " not in outcome.out
    assert "Epoch" not in outcome.out


def test_callbacks_none_leaves_no_checkpoint(tmp_path: Path) -> None:
    quick = ["trainer.max_epochs=1", "trainer.limit_train_batches=10", "logger=none"]
    outcome = command("train", *quick, "callbacks=none", outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert {path.name for path in outcome.folder.iterdir()} == {
        ".hydra",
        "status.json",
        "train.log",
    }
    assert "test accuracy" in outcome.out


@pytest.mark.parametrize("loggers", ["tensorboard", "[]"])
def test_loggers(loggers: str, tmp_path: Path) -> None:
    where = [f"logger={loggers}", f"hydra.run.dir={tmp_path}/elsewhere"]
    outcome = command("train", *FAST[:-1], *where, outputs=tmp_path / "outputs")
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "elsewhere" / "metrics.csv").exists()
    has_curves = loggers != "[]"
    assert (tmp_path / "elsewhere" / "tensorboard").exists() == has_curves
    leads_there = f"curves         tensorboard --logdir {tmp_path}/elsewhere\n"
    assert outcome.out.endswith(leads_there) == has_curves


@pytest.mark.parametrize("debug", ["fast", "overfit", "profiler"])
def test_debug(debug: str, tmp_path: Path) -> None:
    short = ["trainer.limit_train_batches=5"] if debug == "profiler" else []
    outcome = command("train", f"debug={debug}", *short, *UNSEEN, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.folder.parent.name == "debug"
    if debug == "fast":
        assert "ended          epoch 1: trainer.fast_dev_run\n" in outcome.out
    if debug == "overfit":
        assert outcome.metrics["train/loss"] < 0.01
        assert outcome.metrics["train/acc"] == 1.0
    if debug == "profiler":
        assert "run_training_batch" in (outcome.folder / "fit-profile.txt").read_text()


def test_the_reference_recipe_learns(tmp_path: Path) -> None:
    """One epoch of the plain command; the Keras program prints loss 0.2524, acc 0.9273 for it."""
    outcome = command("train", "trainer.max_epochs=1", *UNSEEN, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    # seeds 0-9 give 0.254 to 0.261 and 0.923 to 0.927
    assert outcome.metrics["train/loss"] == pytest.approx(0.2524, abs=0.01)
    assert outcome.metrics["train/acc"] == pytest.approx(0.9273, abs=0.005)
    assert 0.955 < outcome.metrics["test/acc"] < 0.975


def test_a_signal_ends_a_sweep_with_its_own_code_whatever_failed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("digits.training.trainer.make_trainer", stop)
    given = ["-m", "hydra/launcher=basic", "data.val_size=-1,0", *FAST]
    outcome = command("train", *given, outputs=tmp_path)
    assert outcome.code == 143
    assert outcome.err.count("data.val_size=-1: expected a whole number from 0") == 1
    (sweep,) = tmp_path.glob("multirun/*")
    again = f"stopped; go on with python src/train.py -m sweep={sweep}\n"
    assert outcome.err.endswith(again)
