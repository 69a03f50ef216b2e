"""What is said of a setting that does not exist, at the command line."""

from pathlib import Path

import pytest

from support.commands import command

LINES = {
    "data.epochs=1": "data.epochs: no such setting; did you mean trainer.max_epochs?",
    "trainer.seed=1": (
        "trainer.seed: no such setting; did you mean seed or data.seed or callbacks.summary.seed?"
    ),
    "callbacks.early_stopping.stopping_threshold=1": (
        "callbacks.early_stopping.stopping_threshold: comes with callbacks=early_stopping; "
        "expected that, too"
    ),
    "trainer.benchmark=true": "trainer.benchmark: not listed: write `+trainer.benchmark=true`",
    "_target_=1": "_target_: no such setting; --cfg job shows all",  # a dozen have that name
    "debug=default": "debug=default: no such config; there are: fast, limit, overfit, profiler",
}


@pytest.mark.parametrize("word", LINES)
def test_the_line(word: str, tmp_path: Path) -> None:
    outcome = command("train", word, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, f"error: {LINES[word]}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("early_stopping.patiense=1", "no such setting; did you mean {}.patience?"),
        ("callbacks.early_stopping.strict=true", "not listed: write `+{}.strict=true`"),
    ],
)
def test_groups_that_were_chosen_count(word: str, line: str, tmp_path: Path) -> None:
    words = ["callbacks=early_stopping", "data.val_size=5000", word]
    outcome = command("train", *words, outputs=tmp_path)
    said = line.format("callbacks.early_stopping")
    assert outcome.err == f"error: {word.partition('=')[0]}: {said}\n"


def test_a_users_own_configs_count(tmp_path: Path) -> None:
    own = tmp_path / "configs" / "model"
    own.mkdir(parents=True)
    (own / "broken.yaml").write_text("a: [1\n")
    (own / "cnn.yaml").write_text("_target_: digits.data.datamodule.MNISTDataModule\nkernels: 8\n")
    write = "not listed: write `+model.batch_size=2`, or add it to model/cnn.yaml"
    for words, line in (
        (["model.kernels=3"], "comes with model=cnn; expected that, too"),
        (["model.kernls=3", "model=cnn"], "no such setting; did you mean model.kernels?"),
        (["model.batch_size=2", "model=cnn"], write),
    ):
        given = [f"--config-dir={own.parent}", *words]
        outcome = command("train", *given, outputs=tmp_path / "out")
        assert outcome.err == f"error: {words[0].partition('=')[0]}: {line}\n"
