"""A run's folder read as data, whatever is in it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

import digits
from digits.errors import InputError
from digits.files import CONFIGS
from digits.runs import monitors, run
from digits.runs.monitors import less_is_better
from support.commands import Outcome

TABLE = """epoch,step,test/acc,train/acc,train/loss,train/loss_step,val/acc
,49,,,,2.08,
0,58,,0.5,1.25,,
0,59,,,,,0.75
,99,,,,1.97,
1,117,,0.625,nan,,
2,118,0.9,,,,
2,17"""


def half(folder: Path) -> Path:
    """What a run has left that was killed while it logged."""
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("- seed=3\n- hydra.run.dir=x\n")
    (folder / "metrics.csv").write_text(TABLE)
    return folder


def test_a_finished_run(finished: Outcome) -> None:
    read = run.read(finished.folder)
    assert read.overrides == [
        "trainer.max_epochs=2", "trainer.limit_train_batches=30", "data.val_size=5000"
    ]  # fmt: skip
    assert read.config["data"]["val_size"] == 5000
    assert read.status.status == "finished"
    assert read.metrics == finished.metrics
    assert read.seconds == finished.metrics["fit_seconds"]
    assert list(read.epochs) == [0, 1]
    assert read.epochs[1]["train/acc"] == pytest.approx(finished.metrics["train/acc"])
    assert read.epochs[1]["val/acc"] == pytest.approx(finished.metrics["val/acc"])
    assert read.epochs[0]["train/acc"] < read.epochs[1]["train/acc"]
    assert not [name for epoch in read.epochs.values() for name in epoch if "test" in name]


def test_an_opened_run_has_its_own_seed(finished: Outcome, tmp_path: Path) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "train" / finished.folder.name)
    config = folder / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("\nseed: 0\n", "\nseed: 7\n"))
    assert digits.open(folder)._data.seed == 7


def test_a_finished_run_is_opened(finished: Outcome) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):  # as in a run, by its model
        opened = digits.open(finished.folder)
        assert GlobalHydra.instance().is_initialized()
    assert opened.metrics == finished.metrics
    assert opened.settings["trainer"]["max_epochs"] == 2
    assert [*opened.epochs] == [0, 1]
    assert (len(opened.data.train[1]), opened.data.seed) == (55_000, 0)
    logits = torch.cat([opened.model(x) for x, _ in opened.data.test_dataloader()])
    assert not opened.model.training
    assert opened.probabilities.shape == (10_000, 10)
    assert np.allclose(logits.detach().softmax(1), opened.probabilities, atol=1e-5)
    right = opened.probabilities.argmax(1) == opened.labels
    assert right.mean() == pytest.approx(finished.metrics["test/acc"])
    with pytest.raises(InputError, match="nothing: no such file; expected a"):
        digits.open("nothing")


def test_half_a_run(tmp_path: Path) -> None:
    read = run.read(half(tmp_path))
    assert (read.overrides, read.config, read.metrics) == (["seed=3"], {}, {})
    assert (read.status, read.seconds) == (None, None)
    assert str(read.epochs) == (
        "{0: {'train/acc': 0.5, 'train/loss': 1.25, 'val/acc': 0.75},"
        " 1: {'train/acc': 0.625, 'train/loss': nan}}"
    )


DAMAGED = [
    (".hydra/overrides.yaml", b"{"),
    (".hydra/config.yaml", b"\xff"),
    (".hydra/config.yaml", b"a: " + b"x" * 70_000),
    ("metrics.csv", b"\xff"),
    ("metrics.csv", b"epoch\n" + b"1" * 200_000),
]


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    for number, (name, content) in enumerate(DAMAGED):
        (folder := tmp_path / str(number)).mkdir()
        (half(folder) / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            run.read(folder)
        assert str(folder / name) in str(caught.value)


def test_a_name_says_which_way_is_better() -> None:
    for name in ("val/loss_best", "val/top_error", "fit_seconds"):
        assert less_is_better(name)
    assert not less_is_better("val/acc")


def test_other_names_for_a_score_are_known() -> None:
    told = {"val_acc": 1, "val/acc_best": 2, "val_acc_best": 3, "train_loss_step": 4, "lr": 5,
            "test_accuracy": 6, "val_loss/dataloader_idx_0": 7, "val_loss/dataloader_idx_1": 8,
            "train_loss": 9, "train_loss_epoch": 10}  # fmt: skip
    assert monitors.by_common_names(told) == {
        "val/acc": 1, "val/acc_best": 2, "train/loss_step": 4, "lr": 5, "test/acc": 6,
        "val/loss": 7, "val/loss/dataloader_idx_1": 8, "train/loss": 9,
    }  # fmt: skip
    assert less_is_better("val/MeanSquaredError")
    assert less_is_better("val_loss/dataloader_idx_1")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train_loss", "val_loss", "val_acc", "val/loss", "val/acc"], "val/acc"),
        (["val_loss", "val/loss", "val_acc", "val/f1"], "val_acc"),
        (["val/f1", "val_loss_step", "val_loss", "val/loss"], "val/loss"),
        (["val_f1_best", "val_f1_step", "val_f1", "val/mse"], "val_f1"),
        (["train/loss", "test/acc"], None),
    ],
)
def test_the_best_goes_by_accuracy_else_loss_else_the_first(
    names: list[str], chosen: str | None
) -> None:
    assert monitors.to_monitor(names) == chosen


def test_a_callback_that_monitors_the_score_says_it_first() -> None:
    callbacks = {"bar": None, "best": {"monitor": "val/cost", "mode": "min"}}
    for settings in ({"callbacks": callbacks}, OmegaConf.create({"callbacks": callbacks})):
        assert less_is_better("val/cost", settings)
        assert less_is_better("val/cost_best", settings)
        assert not less_is_better("val/f1", settings)
    assert not less_is_better("val/cost", {"callbacks": None})
