"""What is said of a setting that does not exist, at the command line."""

from pathlib import Path

import pytest

from support.commands import command

LINES = {
    "lr=0.1": "lr: no such setting; did you mean model.optimizer.lr?",
    "epochs=3": "epochs: no such setting; did you mean trainer.max_epochs?",
    "model.lr=1": "model.lr: no such setting; did you mean model.optimizer.lr?",
    "data.epochs=1": "data.epochs: no such setting; did you mean trainer.max_epochs?",
    "trainer.batchsize=1": "trainer.batchsize: no such setting; did you mean data.batch_size?",
    "sed=1": "sed: no such setting; did you mean seed?",
    "trainer.max_epoch=1": "trainer.max_epoch: no such setting; did you mean trainer.max_epochs?",
    "modle=mlp": "modle: no such setting; did you mean model?",
    "callbacks.early_stopping.patience=2": (
        "callbacks.early_stopping.patience: comes with callbacks=early_stopping; expected that, too"
    ),
    "model.optimizer.betas=[0,0]": (
        "model.optimizer.betas: comes with model/optimizer=adam; expected that, too"
    ),
    "model.scheduler.T_max=2": (
        "model.scheduler.T_max: comes with model/scheduler=cosine; expected that, too"
    ),
    "extras.print_config=true": "extras.print_config: no such setting; --cfg job shows all",
    "zzz=1": "zzz: no such setting; --cfg job shows all",
    "_target_=1": "_target_: no such setting; --cfg job shows all",  # a dozen have that name
    "debug=default": "debug=default: no such config; there are: fast, limit, overfit, profiler",
    "experiment=example": "experiment=example: no such config; there are: reference",
}


@pytest.mark.parametrize("word", LINES)
def test_the_line(word: str, tmp_path: Path) -> None:
    outcome = command("train", word, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, f"error: {LINES[word]}\n")
    assert list(tmp_path.iterdir()) == []


def test_groups_that_were_chosen_count(tmp_path: Path) -> None:
    words = ["callbacks=early_stopping", "data.val_size=5000", "early_stopping.patiense=1"]
    outcome = command("train", *words, outputs=tmp_path)
    line = (
        "early_stopping.patiense: no such setting; did you mean callbacks.early_stopping.patience?"
    )
    assert outcome.err == f"error: {line}\n"


def test_a_users_own_configs_count(tmp_path: Path) -> None:
    own = tmp_path / "configs" / "model"
    own.mkdir(parents=True)
    (own / "broken.yaml").write_text("a: [1\n")
    (own / "cnn.yaml").write_text("_target_: mine.CNN\nchannels: 8\n")
    given = f"--config-dir={own.parent}"
    outcome = command("train", given, "model.channels=3", outputs=tmp_path / "out")
    line = "model.channels: comes with model=cnn; expected that, too"
    assert outcome.err == f"error: {line}\n"
    outcome = command("train", given, "model=cnn", "model.chanels=3", outputs=tmp_path / "out")
    line = "model.chanels: no such setting; did you mean model.channels?"
    assert outcome.err == f"error: {line}\n"
