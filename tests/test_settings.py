from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from digits import settings
from digits.errors import InputError


def run(**changes: Any) -> DictConfig:
    cfg = OmegaConf.create(
        {
            "seed": 0,
            "train": True,
            "test": True,
            "ckpt_path": None,
            "optimized_metric": None,
            "data": {"batch_size": 128, "eval_batch_size": 1000, "val_size": 0},
            "model": {"hidden_size": 512, "optimizer": {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7}},
            "trainer": {"max_epochs": 5, "accelerator": "auto"},
            "callbacks": {},
        }
    )
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


def test_the_reference_passes() -> None:
    settings.check(run())
    settings.check(run(seed=None, trainer__max_epochs=-1, data__val_size=59_999))


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "trainer__max_epochs",
            "abc",
            "trainer.max_epochs=abc: expected a whole number from 1",
        ),
        ("trainer__max_epochs", -3, "trainer.max_epochs=-3: expected"),
        ("trainer__max_epochs", 0, "trainer.max_epochs=0: expected"),
        ("trainer__max_epochs", 2.5, "trainer.max_epochs=2.5: expected"),
        ("trainer__max_epochs", True, "trainer.max_epochs=true: expected"),
        ("trainer__max_epochs", None, "trainer.max_epochs=null: expected"),
        ("data__batch_size", 0, "data.batch_size=0: expected a whole number from 1 to 60000"),
        ("data__batch_size", 1e9, "data.batch_size=1000000000.0: expected"),
        ("data__val_size", 60_000, "data.val_size=60000: expected a whole number from 0 to 59999"),
        ("model__optimizer__lr", -1, "model.optimizer.lr=-1: expected a number above 0"),
        ("model__optimizer__lr", float("nan"), "model.optimizer.lr=nan: expected"),
        ("model__optimizer__lr", float("inf"), "model.optimizer.lr=inf: expected"),
        ("model__optimizer__alpha", 1, "model.optimizer.alpha=1: expected"),
        ("trainer__accelerator", "tpu", "trainer.accelerator=tpu: expected one of auto, cpu, gpu"),
        ("seed", -1, "seed=-1: expected a whole number from 0 to 4294967295, or null"),
        ("train", "yes", "train=yes: expected true or false"),
        ("optimized_metric", "test/acc", "optimized_metric=test/acc: expected one of train/acc"),
        ("optimized_metric", "val/acc", "optimized_metric=val/acc: expected data.val_size above 0"),
        ("train", False, "train=false: nothing to test; expected ckpt_path"),
        ("ckpt_path", "???", "ckpt_path: not given; expected"),
        ("callbacks", {"stop": {"_target_": "x.EarlyStopping"}}, "callbacks.stop: expected data."),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, line: str) -> None:
    with pytest.raises(InputError) as caught:
        settings.check(run(**{key: value}))
    assert str(caught.value).startswith(line)


def test_closest_setting() -> None:
    assert settings.closest("trainer.max_epoch", run()) == "trainer.max_epochs"
    assert settings.closest("sed", run()) == "seed"
    assert settings.closest("zzz", run()) is None


def test_a_null_seed_is_drawn_and_zero_is_kept() -> None:
    drawn = [run(seed=None) for _ in range(2)]
    for cfg in drawn:
        settings.draw_seed(cfg)
    assert drawn[0].seed != drawn[1].seed  # equal once in 4 billion times
    kept = run(seed=0)
    settings.draw_seed(kept)
    assert kept.seed == 0
