"""A new run begins with the weights of another one, or with a part of them, and any settings."""

from pathlib import Path

import pytest
import torch

from support.commands import UNSEEN, Outcome, command

QUICK = (*UNSEEN, "trainer.max_epochs=1", "trainer.limit_train_batches=2", "test=false")
LAST = Path("checkpoints", "last.ckpt")
SLOW = ("model/optimizer=sgd", "model.optimizer.lr=1e-30", "model.optimizer.momentum=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of the first layer's 8 units."""
    outputs = tmp_path_factory.mktemp("run")
    outcome = command("train", "model.hidden_size=8", *QUICK, outputs=outputs)
    assert outcome.code == 0, outcome.err
    return outcome


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / LAST, weights_only=True)["state_dict"]


def same(run: Outcome, other: Outcome, *names: str) -> list[bool]:
    before, after = weights(run.folder), weights(other.folder)
    return [torch.equal(before[name], after[name]) for name in names or before]


def test_a_run_has_the_weights_and_sizes_of_another_and_its_own_settings(
    run: Outcome, tmp_path: Path
) -> None:
    given = ("data.batch_size=64", "seed=5", *SLOW)
    bare = tmp_path / "elsewhere.ckpt"
    bare.write_bytes((run.folder / LAST).read_bytes())
    for at, name in enumerate((str(run.folder), str(bare))):
        words = (f"weights={name}", *given, *QUICK)
        outcome = command("train", *words, outputs=tmp_path / str(at))
        assert (outcome.code, outcome.err) == (0, "")
        assert all(same(run, outcome))
        assert outcome.metrics["epochs"] == 1
        assert f"weights of {name.removesuffix('/')}"[:40] in outcome.out
        assert ": 4 tensors\n" in outcome.out
    rest = command("train", "resume=latest", "trainer.max_epochs=2", outputs=tmp_path / "1")
    assert (rest.code, rest.err) == (0, "")
    assert rest.metrics["epochs"] == 2
    (outcome.folder / LAST).unlink()
    bare.unlink()
    (outcome.folder / "checkpoints" / "previous.ckpt").unlink()
    (outcome.folder / "metrics.json").unlink()
    gone = command("train", "resume=" + str(outcome.folder), outputs=tmp_path / "1")
    assert (gone.code, gone.err) == (
        2, f"error: weights={bare}: no such file; expected a readable file\n"
    )  # fmt: skip


def test_a_part_is_taken_and_the_rest_is_new(run: Outcome, tmp_path: Path) -> None:
    names = ("net.1.weight", "net.1.bias", "net.3.weight")
    content = torch.load(run.folder / LAST, weights_only=True)
    state = content["state_dict"]
    content["state_dict"] = {
        "encoder.0.weight": state["net.1.weight"], "encoder.0.bias": state["net.1.bias"],
    }  # fmt: skip
    content["settings"]["model._target_"] = "theirs.Autoencoder"
    torch.save(content, theirs := tmp_path / "theirs.ckpt")
    other = command(
        "train", f"weights={theirs}", "weights_only_of={net.1: encoder.0}", "model.hidden_size=8",
        *SLOW, *QUICK, "seed=3", outputs=tmp_path / "other",
    )  # fmt: skip
    assert (other.code, other.err) == (0, "")
    assert ": 2 tensors\n" in other.out
    assert same(run, other, *names) == [True, True, False]


REFUSED = {
    "model.hidden_size=9": (
        "weights={}: another architecture: net.1.bias is 8, expected 9; "
        "weights_only_of=[NAME] takes a part"
    ),
    "weights_only_of=[nte.1]": (
        "weights_only_of=nte.1: the model has no such weights; there are: net.1, net.3"
    ),
    "weights_only_of={net.1: encoder}": (
        "weights_only_of=encoder: {} has no such weights; there are: net.1, net.3"
    ),
    "weights_only_of=[]": (
        "weights_only_of=[]: expected [net.1], say, or ours with theirs: {{net.1: encoder.0}}, "
        "or null"
    ),
    "ckpt_path=x.ckpt": "weights={} ckpt_path=x.ckpt: expected one of them",
    "resume=latest": "resume=latest weights={}: expected one of them",
}  # fmt: skip


@pytest.mark.parametrize("word", REFUSED)
def test_what_does_not_fit_is_one_line(
    word: str, run: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.folder)
    outcome = command("train", f"weights={LAST}", word, *QUICK[:-1], outputs=tmp_path)
    assert outcome.code == 2
    said = outcome.err.replace(f"{run.folder}/", "")
    assert said == f"error: {REFUSED[word].format(LAST)}\n"


def test_other_words_that_mean_no_weights_are_refused(tmp_path: Path) -> None:
    for words, line in (
        (["weights=/none"], "weights=/none: no such file; expected a .ckpt file, or latest"),
        (["weights_only_of=[net.1]"], "weights_only_of: no weights; expected weights=FILE too"),
    ):
        assert command("train", *words, outputs=tmp_path).err == f"error: {line}\n"
