"""Slips are found before torch is imported: on the settings as Hydra composes them."""

import pytest
from omegaconf import OmegaConf

from digits.commands import settings
from digits.errors import InputError
from support.settings import WITH_ALL, composed, run

TAKEN = [
    ("trainer.max_time", {"minutes": 1, "seconds": 30.5}),
    ("trainer.precision", 16),
    ("trainer.precision", "64-true"),
    ("tags", ["baseline", "lr-0.1"]),
    ("trainer.val_check_interval", 0.5),
    ("trainer.val_check_interval", 50),
    ("trainer.val_check_interval", "00:00:01:00"),
    ("trainer.gradient_clip_val", 0),
    ("trainer.strategy", {"_target_": "lightning.pytorch.strategies.DDPStrategy"}),
    ("callbacks.early_stopping.patience", 0),
    ("callbacks.early_stopping.monitor", "train/loss"),
    ("seed", (1 << 32) - 1),
    ("model.optimizer.lr", 3e38),
]


def test_what_means_something_is_taken() -> None:
    settings.check(run())
    settings.check(run(WITH_ALL))
    settings.check(run(trainer__max_epochs=-1, data__val_size=59_999))
    for key, value in TAKEN:
        settings.check(run(WITH_ALL, **{key: value}))


TIME = "a time above 0 as DD:HH:MM:SS or, for one, {seconds: 90}"
INTERVAL = f"expected a fraction up to 1.0, a whole number of batches from 1, or {TIME}"
STRATEGY = "expected one of auto, ddp, ddp_find_unused_parameters_true, or settings with a _target_"
LINES = [
    ("callbacks", 0.5, "0.5: expected a group of settings, or null"),
    ("trainer.max_epochs", 0, "0: expected a whole number from 1, or -1 for no limit"),
    ("trainer.max_epochs", True, "true: expected a whole number from 1, or -1 for no limit"),
    ("trainer.max_time", "00:00:00:00", f"00:00:00:00: expected {TIME}, or null"),
    ("trainer.max_time", {"months": 1}, f"{{'months': 1}}: expected {TIME}, or null"),
    ("trainer.strategy", "ddp_spawn", f"ddp_spawn: {STRATEGY}"),
    ("trainer.limit_train_batches", 0, "0: expected a number above 0"),
    ("trainer.accumulate_grad_batches", 0, "0: expected a whole number from 1"),
    ("trainer.check_val_every_n_epoch", 0, "0: expected a whole number from 1"),
    ("trainer.log_every_n_steps", "x", "x: expected a whole number from 1"),
    ("trainer.num_sanity_val_steps", -2, "-2: expected a whole number from -1"),
    ("trainer.val_check_interval", 1.5, f"1.5: {INTERVAL}"),
    ("trainer.gradient_clip_val", -1, "-1: expected a number from 0, or null"),
    ("tags", ["a b"], "[a b]: expected a list of words of letters, digits, -, _ and ."),
    ("data.batch_size", 0, "0: expected a whole number from 1"),
    ("data.val_size", -1, "-1: expected a whole number from 0"),
    ("data.train_size", 0, "0: expected a whole number from 1, or null"),
    ("data.folds", 1, "1: expected a whole number from 2, or null"),
    ("data.fold", -1, "-1: expected a whole number from 0, or null"),
    ("data.mirrors", ["http://x", "a b"], "[http://x, a b]: expected a list of URLs, or null"),
    ("model.optimizer.lr", 0, "0: expected a number above 0, up to 3.4e+38"),
    ("model.optimizer.lr", float("nan"), "nan: expected a number above 0, up to 3.4e+38"),
    ("model.optimizer.lr", 1e308, "1e+308: expected a number above 0, up to 3.4e+38"),
    ("model.optimizer.alpha", 1, "1: expected a number from 0 to below 1"),
    ("callbacks.last.train_time_interval", 0, "0: expected a number above 0"),
    ("callbacks.best.monitor", "train/acc", "train/acc: expected one of val/acc, val/loss"),
    ("callbacks.early_stopping.monitor", "val_acc", "val_acc: expected one of train/acc, train/"),
    ("seed", 1 << 32, "4294967296: expected a whole number from 0 to 4294967295, or null for a n"),
    ("train", "yes", "yes: expected true or false"),
    ("optimized_metric", "test/acc", "test/acc: expected a score that training or validation lo"),
    ("optimized_metric", [], "[]: expected a score that training or validation logs, or a list"),
    ("optimized_metric", ["val/acc", "f1"], "f1: expected one of train/acc, train/loss, val/acc"),
    ("ckpt_path", 123, "123: expected a .ckpt file, latest, or null"),
    ("paths.output_dir", None, "null: expected a path"),
    ("task_name", "a\nb", "a\\nb: expected letters, digits, - and _"),
]


def test_what_is_wrong_is_named() -> None:
    for key, value, line in LINES:
        with pytest.raises(InputError) as caught:
            settings.check(run(WITH_ALL, **{key: value}))
        assert str(caught.value).startswith(f"{key}={line}")


TOGETHER = [
    (
        {"optimized_metric": "val/acc"},
        "optimized_metric=val/acc: expected data.val_size above 0 too, e.g. 5000",
    ),
    ({"train": False}, "train=false: nothing to test; expected ckpt_path=latest or ckpt_path="),
    ({"train": False, "test": False}, "train=false test=false: nothing to do; expected one"),
    ({"ckpt_path": "???"}, "ckpt_path: not given; expected ckpt_path=latest or ckpt_path=FILE"),
    (
        {"callbacks.stop": {"_target_": "x.EarlyStopping", "monitor": "val/f1"}},
        "callbacks.stop.monitor=val/f1: expected data.val_size above 0 too, e.g. 5000",
    ),
    (
        {"optimized_metric": "val/acc", "data.val_size": 9, "trainer.limit_val_batches": 0},
        "optimized_metric=val/acc: expected trainer.limit_val_batches above 0 too",
    ),
    (
        {"optimized_metric": "val/acc", "data.val_size": 9, "trainer.check_val_every_n_epoch": 6},
        "optimized_metric=val/acc: expected trainer.check_val_every_n_epoch up to "
        "trainer.max_epochs=5 too",
    ),
]


def test_what_does_not_go_together_is_named() -> None:
    for changes, line in TOGETHER:
        cfg = run()
        for key, value in changes.items():
            OmegaConf.update(cfg, key, value, force_add=True)
        with pytest.raises(InputError) as caught:
            settings.check(cfg)
        assert str(caught.value).startswith(line)


def test_a_fold_is_validated_on() -> None:
    words = ("callbacks=early_stopping", "data.folds=5", "data.fold=4", "optimized_metric=val/acc")
    settings.check(composed(*words))


def test_training_scores_are_there_after_an_epoch_only() -> None:
    within = run(WITH_ALL, trainer__val_check_interval=0.5)
    within.callbacks.early_stopping.monitor = "train/loss"
    with pytest.raises(InputError, match="monitor=train/loss: expected one of val/acc, val/loss"):
        settings.check(within)
    OmegaConf.update(
        within, "callbacks.early_stopping.check_on_train_epoch_end", True, force_add=True
    )
    settings.check(within)


def test_a_model_of_ones_own_may_have_other_scores() -> None:
    own = run(model___target_="mine.Model", callbacks__best__monitor="val/f1", data__val_size=9)
    settings.check(own)
    own.optimized_metric = ["val/f1", "fit_seconds"]
    settings.check(own)
