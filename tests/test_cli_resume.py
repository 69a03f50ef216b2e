"""Going on in a run's folder: as it was set, where it was, to the same end."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from faults.common import differences
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer
from omegaconf import OmegaConf

from digits.data import idx
from digits.runs.folder import RunFolder
from digits.runs.recipe import Recipe
from digits.runs.words import quoted
from digits.training import step as written_out
from support.commands import SHORT, UNSEEN, Outcome, command
from support.settings import composed

QUICK = (  # steps count here, not images; nobody looks at the figure
    "model.hidden_size=8",
    *UNSEEN,
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=2",
)
RUN = (*SHORT, *QUICK, "callbacks=early_stopping", "model/scheduler=cosine")
LAST = Path("checkpoints", "last.ckpt")


@pytest.fixture(scope="module", autouse=True)
def images_are_read_once() -> Iterator[None]:
    """Unpacking them takes half of such a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idx, "read", cache(idx.read))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = command("train", *RUN, outputs=tmp_path_factory.mktemp("whole"))
    assert outcome.code == 0, outcome.err
    return outcome


def test_a_run_stopped_at_its_first_epochs_end_ends_as_the_whole_one(
    stop_at: Callable[[int], None], whole: Outcome, tmp_path: Path
) -> None:
    """After its last step the epoch ends first. training/test_resume.py stops at others."""
    stop_at(30)
    stopped = command("train", *RUN, outputs=tmp_path)
    assert stopped.code == 143
    assert stopped.err == f"stopped; go on with resume={stopped.folder}\n"
    assert RunFolder(stopped.folder).status().status == "stopped"
    stop_at(0)
    saved = torch.load(stopped.folder / LAST, weights_only=True)["callbacks"]["RunSummary"]
    rest = command("train", "resume=latest", outputs=tmp_path)
    assert (rest.code, rest.err) == (0, "")
    assert rest.metrics["fit_seconds"] > saved["fit_seconds"]
    where = f"going on at epoch 2, batch 1, from {stopped.folder / LAST}"
    assert rest.out.startswith(where)
    assert where in (stopped.folder / "train.log").read_text()
    assert differences(rest.folder, whole.folder) == []
    assert RunFolder(rest.folder).status().status == "finished"
    kept = ("train/loss", "val/acc_best", "test/loss", "test/acc", "epochs", "seed")
    assert [rest.metrics[name] for name in kept] == [whole.metrics[name] for name in kept]


def test_a_finished_run_says_so_and_stays_as_it_is(whole: Outcome) -> None:
    before = {path: path.read_bytes() for path in whole.folder.rglob("*.*") if path.is_file()}
    again = command("train", f"resume={whole.folder}", outputs=whole.outputs)
    assert (again.code, again.err) == (0, "")
    accuracy = whole.metrics["test/acc"]
    assert f"is finished: 2 epochs, test accuracy {accuracy:.4f}; a higher" in again.out
    changed = {path.name for path, data in before.items() if path.read_bytes() != data}
    assert changed == {"train.log"}


def test_a_run_that_stopped_early_is_finished(tmp_path: Path) -> None:
    early = ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=1"]
    many = [*RUN, *early, "trainer.max_epochs=3"]
    first = command("train", *many, outputs=tmp_path)
    assert first.metrics["epochs"] == 2
    again = command("train", "resume=latest", outputs=tmp_path)
    assert "is finished: 2 epochs" in again.out
    assert "callbacks.early_stopping=null goes on" in again.out
    (first.folder / "metrics.json").unlink()  # killed before its test
    tested = command("train", "resume=latest", outputs=tmp_path)
    assert tested.code == 0, tested.err
    for name in ("epochs", "train/loss", "val/loss", "val/acc_best", "test/loss"):
        assert tested.metrics[name] == first.metrics[name]
    patience = "callbacks.early_stopping.patience=2"
    on = command("train", "resume=latest", patience, outputs=tmp_path)
    assert (on.code, on.err, on.metrics["epochs"]) == (0, "", 3)
    whole = command("train", *many, patience, outputs=tmp_path / "whole")
    assert differences(on.folder, whole.folder) == []


def test_a_run_begun_when_the_classes_had_other_names_goes_on(tmp_path: Path) -> None:
    before = Path(__file__).parent / "runs" / "begun_before_the_rooms"
    folders = [shutil.copytree(before, tmp_path / name) for name in ("old", "renamed")]
    last = folders[1] / LAST
    content = torch.load(last, weights_only=True)
    old_names = {key: content["settings"][key] for key in content["settings"] if "target" in key}
    assert old_names["data._target_"] == "digits.datamodule.MNISTDataModule"
    assert content["global_step"] == 10
    cfg = OmegaConf.load(folders[1] / ".hydra" / "overrides.yaml")
    content["settings"] |= {
        key: value for key, value in Recipe(composed(*cfg)).settings.items() if "target" in key
    }
    torch.save(content, last)
    for folder in folders:
        on = (f"resume={folder}", "trainer.max_epochs=2", *UNSEEN)
        outcome = command("train", *on, outputs=tmp_path)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"going on at epoch 2, batch 0, from {folder / LAST}")
    ends = [torch.load(folder / LAST, weights_only=True) for folder in folders]
    assert [end["global_step"] for end in ends] == [20, 20]
    for name in ("net.1.weight", "net.3.bias"):
        assert torch.equal(ends[0]["state_dict"][name], ends[1]["state_dict"][name])
        assert not torch.equal(ends[0]["state_dict"][name], content["state_dict"][name])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            ["data.batch_size=64", "model.optimizer.lr=0.5", "trainer.gradient_clip_val=1"],
            "last.ckpt: data.batch_size was 128, is 64; model.optimizer.lr was 0.001, is 0.5; "
            "trainer.gradient_clip_val was None, is 1; expected the same to go on (weights=FILE "
            "takes the weights alone, with any settings)\n",
        ),
        (["seed=null"], "data.seed was 0, is "),
        (["trainer=ddp_sim"], "trainer.devices: the run had 1 processes, this one has 2; exp"),
        (["model.hidden_size=9"], "another architecture: net.1.bias is 8, expected 9"),
        (["trainer.max_epochs=1"], "has trained 2 epochs already"),
    ],
    ids=str,
)
def test_other_settings_are_refused_and_change_nothing(
    changes: list[str], line: str, whole: Outcome
) -> None:
    files = {path: path.read_bytes() for path in whole.folder.rglob("*") if path.is_file()}
    more = ["trainer.max_epochs=3", "model.scheduler.T_max=2", "test=false"]
    outcome = command("train", f"resume={whole.folder}", *more, *changes, outputs=whole.outputs)
    assert outcome.code == 2
    assert line in outcome.err
    assert outcome.err.count("\n") == 1
    changed = {path.name for path, data in files.items() if path.read_bytes() != data}
    assert changed <= {"train.log"}


def test_a_damaged_checkpoint_leaves_the_one_before(
    stop_at: Callable[[int], None], whole: Outcome, tmp_path: Path
) -> None:
    stop_at(45)
    stopped = command("train", *RUN, outputs=tmp_path)
    last = stopped.folder / LAST
    last.write_bytes(last.read_bytes()[:-1])
    stop_at(32)  # a step after the one before: and yet last.ckpt was whole again
    assert command("train", "resume=latest", outputs=tmp_path).code == 143
    last.write_bytes(last.read_bytes()[:-1])
    stop_at(0)
    rest = command("train", "resume=latest", outputs=tmp_path)
    assert (rest.code, rest.err) == (0, "")
    assert (
        f"{last}: not a checkpoint written by train.py, or damaged; going on from prev" in rest.out
    )
    assert differences(rest.folder, whole.folder) == []
    for path in last.parent.glob("*.ckpt"):
        path.write_bytes(b"")
    neither = command("train", "resume=latest", outputs=tmp_path)
    assert (neither.code, neither.err.count("\n")) == (2, 1)
    assert f"ckpt_path={last}: not a checkpoint written by train.py, or damaged" in neither.err


def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    whole: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "train" / "2026"
    shutil.copytree(whole.folder, folder)  # with logs that were written before the kill
    shutil.rmtree(folder / "checkpoints")
    gone = command("train", f"resume={folder}", outputs=tmp_path)
    assert gone.code == 2
    assert "finished, but it has no checkpoint; expected one" in gone.err
    (folder / "metrics.json").unlink()
    outcome = command("train", f"resume={folder}", outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert differences(folder, whole.folder) == []


def test_a_drawn_seed_is_kept(tmp_path: Path) -> None:
    short = [*SHORT, *QUICK, "trainer.max_epochs=1", "seed=null", "test=false"]
    first = command("train", *short, outputs=tmp_path)
    more = ["resume=latest", "trainer.max_epochs=2"]
    rest = command("train", *more, outputs=tmp_path)
    assert (rest.code, rest.err) == (0, "")
    assert rest.metrics["seed"] == first.metrics["seed"]


def test_only_one_process_trains_in_a_folder(whole: Outcome) -> None:
    with RunFolder(whole.folder).held():
        outcome = command("train", f"resume={whole.folder}", outputs=whole.outputs)
    assert outcome.code == 2
    assert outcome.err == f"error: {whole.folder}: another process is training there\n"


def test_a_folder_that_was_moved_goes_on(whole: Outcome, tmp_path: Path) -> None:
    folder = tmp_path / "moved, to 'elsewhere'"
    shutil.copytree(whole.folder, folder)
    more = ["trainer.max_epochs=3", "model.scheduler.T_max=2", "callbacks.early_stopping=null"]
    outcome = command("train", f"resume={quoted(folder)}", *more, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert (folder / LAST).stat().st_mtime > (whole.folder / LAST).stat().st_mtime
    assert not list(tmp_path.glob("train"))


def test_curves_that_make_no_sense_are_one_line_or_none(whole: Outcome, tmp_path: Path) -> None:
    folder = tmp_path / "train" / "2026"
    shutil.copytree(whole.folder, folder)
    (folder / "tensorboard" / "events.out.tfevents.1.x").write_bytes(bytes(range(256)) * 50)
    (folder / "metrics.json").unlink()
    outcome = command("train", f"resume={folder}", outputs=tmp_path)
    assert outcome.code in (0, 2)
    assert outcome.err.count("\n") == (outcome.code == 2)


def test_words_that_were_refused_are_not_recorded(tmp_path: Path) -> None:
    """Else they would make the next resume fail, too."""
    own = ["model._target_=support.own.Noted", *RUN[:3], *QUICK, "data.val_size=1000"]
    first = command("train", *own, "trainer.max_epochs=1", outputs=tmp_path)
    assert (first.code, first.err) == (0, "")
    recorded = (first.folder / ".hydra" / "overrides.yaml").read_text()
    more = ["resume=latest", own[0], "trainer.max_epochs=2"]
    refused = command("train", *more, "optimized_metric=val/nope", outputs=tmp_path)
    assert refused.code == 2
    assert refused.err.startswith("error: optimized_metric=val/nope: not measured in this run; ")
    assert (first.folder / ".hydra" / "overrides.yaml").read_text() == recorded
    again = command("train", *more, outputs=tmp_path)
    assert (again.code, again.err) == (0, "")


def test_a_time_limit_goes_on_at_the_next_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["trainer.limit_train_batches=30", *QUICK, "trainer.max_epochs=2"]
    with monkeypatch.context() as patch:
        patch.setattr(written_out, "LOOK_EVERY", 0.0)
        patch.setattr(Timer, "on_train_batch_end", up_after_17_steps)
        part = command("train", *words, "trainer.max_time=00:00:00:01", outputs=tmp_path)
    assert "ended          epoch 1: trainer.max_time" in part.out
    rest = command("train", "resume=latest", "trainer.max_time=null", outputs=tmp_path)
    assert (rest.code, rest.err) == (0, "")
    assert rest.out.startswith("going on at epoch 1, batch 17, from ")


def up_after_17_steps(self: Timer, trainer: Trainer, *_: object) -> None:
    if trainer.global_step == 17:
        trainer.should_stop = True
        self._offset = 2  # seconds before this fit


def test_a_run_that_stopped_early_within_an_epoch_is_finished(tmp_path: Path) -> None:
    early = ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=1"]
    words = [*SHORT, *QUICK, "callbacks=early_stopping", *early, "trainer.val_check_interval=10"]
    first = command("train", *words, outputs=tmp_path)
    assert torch.load(first.folder / LAST, weights_only=True)["global_step"] == 20
    before = (first.folder / "metrics.json").read_bytes()
    again = command("train", "resume=latest", outputs=tmp_path)
    assert "is finished: 1 epochs" in again.out
    assert (first.folder / "metrics.json").read_bytes() == before
