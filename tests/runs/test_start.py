"""Checkpoints that fit, but for one part that going on needs: one line, before anything is lost."""

from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra.utils import instantiate

from digits.commands import app  # noqa: F401  (knows ${root:} and the like)
from digits.errors import InputError
from digits.files import CONFIGS
from digits.runs import start
from digits.training.saving import AtomicCheckpointIO
from support import hostile
from support.commands import SHORT, UNSEEN, Outcome, command

Content = dict[str, Any]


GONE = object()
FIT = ("loops", "fit_loop")
STATE = ("optimizer_states", 0, "state")
LOADER = (*FIT, "state_dict", "combined_loader")
RANDOM = ("processes", 0, "random")
COUNTERS = "damaged: its counters are no whole numbers from 0"
OPTIMIZER = "damaged: it is not the state of this optimizer"
WORDS = "damaged: a Mersenne Twister's state has 624 words of 32 bits"
SETTINGS = "damaged: its settings are not plain values"
NOT_WRITTEN_BY_US = "not a checkpoint written by train.py, or damaged"
WEIGHTS = "has weights only; expected a checkpoint that training can go on from"
EVENTS = ("ready", "started", "processed", "completed")
NEGATIVE = dict.fromkeys(EVENTS, -4)
WRONG: dict[str, tuple[tuple[Any, ...], Any, str]] = {  # a place in it, what is there, the line
    "shape": ((*STATE, 0, "square_avg"), torch.zeros(2, 2), OPTIMIZER),
    "no progress": ((*FIT, "epoch_progress"), GONE, "damaged: 'epoch_progress'"),
    "negative epochs": ((*FIT, "epoch_progress", "current"), NEGATIVE, COUNTERS),
    "no loader": (LOADER, [], "damaged: list index out of range"),
    "no processes": (("processes",), [], "damaged: it has no process's state"),
    "odd random state": (
        (*RANDOM, "torch"), torch.zeros(3, dtype=torch.uint8),
        "damaged: Expected a CPUGeneratorImplState of size 5056",
    ),
    "odd python state": ((*RANDOM, "python"), (3, torch.zeros(2), None), WORDS),
    "no score": (("processes", 0, "scores"), {}, "damaged: its scores are others"),
    "odd metrics": (("metrics",), {"val/acc": "high"}, "damaged: its metrics are no numbers"),
    "odd settings": (("settings",), {"x" * 5000: "y" * 5000, 1: 2}, SETTINGS),
    "no loops": (("loops",), GONE, WEIGHTS),
    "shared metrics": (
        ("callbacks", "RunSummary", "metrics"), {"x": hostile.shared_lists(60)}, NOT_WRITTEN_BY_US,
    ),
}  # fmt: skip
RUN = (*SHORT, "model.hidden_size=8", "callbacks=early_stopping", "trainer.limit_train_batches=3",
       "data.val_size=100", *UNSEEN, "logger=csv")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = command("train", *RUN, "test=false", outputs=tmp_path_factory.mktemp("run"))
    assert outcome.code == 0, outcome.err
    return outcome


def content_of(run: Outcome) -> Content:
    return torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def cfg() -> Any:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose("train", [*RUN, "trainer.max_epochs=3"])


def find(cfg: Any, ckpt_path: Path) -> start.Start | None:
    cfg.ckpt_path = str(ckpt_path)
    return start.find(cfg, instantiate(cfg.model))


def test_a_whole_one_is_where_a_run_begins(run: Outcome, cfg: Any) -> None:
    begin = find(cfg, run.folder / "checkpoints" / "last.ckpt")
    assert begin is not None
    assert (begin.step, begin.epochs, begin.batch) == (6, 2, 0)


def test_early_stopping_waits_as_it_is_set_now_and_others_as_before(
    run: Outcome, cfg: Any, tmp_path: Path
) -> None:
    content = content_of(run)
    callbacks = content["callbacks"]
    (ours,) = (name for name in callbacks if name.startswith("EarlyStopping{"))
    callbacks[other := ours.replace("val/acc", "val/loss")] = dict(callbacks[ours])
    torch.save(content, tmp_path / "x.ckpt")
    cfg.callbacks.early_stopping.patience = 7
    begin = find(cfg, tmp_path / "x.ckpt")
    assert begin is not None
    assert [begin.content["callbacks"][name]["patience"] for name in (ours, other)] == [7, 3]


def damaged(run: Outcome, how: str, path: Path) -> None:
    (*place, last), value, _ = WRONG[how]
    node = content = content_of(run)
    for key in place:
        node = node[key]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    torch.save(content, path)


@pytest.mark.parametrize("how", WRONG)
def test_a_part_that_is_wrong_is_named(how: str, run: Outcome, cfg: Any, tmp_path: Path) -> None:
    damaged(run, how, path := tmp_path / "damaged.ckpt")
    with pytest.raises(InputError) as caught:
        find(cfg, path)
    line = str(caught.value)
    assert line.startswith(f"ckpt_path={path}: {WRONG[how][2]}")
    assert line.isprintable()
    assert len(line) < 300 + len(str(path))


def test_a_test_never_begins_in_the_middle(run: Outcome, tmp_path: Path) -> None:
    content, loops = content_of(run), ("validate_loop", "test_loop", "predict_loop")
    for loop in loops:
        for kind in ("total", "current"):
            content["loops"][loop]["batch_progress"][kind] = dict.fromkeys(EVENTS, 5)
    torch.save(content, tmp_path / "x.ckpt")
    read = AtomicCheckpointIO().load_checkpoint(tmp_path / "x.ckpt")
    assert [read["loops"][loop] for loop in loops] == [{}, {}, {}]
    assert read["loops"].keys() == {"fit_loop", *loops}


def test_no_file_that_a_checkpoint_names_is_removed(run: Outcome, tmp_path: Path) -> None:
    """Lightning removes the best checkpoint so far when a better one comes."""
    (precious := tmp_path / "precious").mkdir()
    (precious / "thesis.tex").touch()
    content, worst = content_of(run), torch.tensor(-1.0)
    (key,) = (key for key in content["callbacks"] if key.startswith("BestCheckpoint"))
    content["callbacks"][key] = {
        "best_model_score": worst, "best_model_path": f"local://{precious}",
        "kth_best_model_path": f"{precious}", "kth_value": worst, "last_model_path": "",
        "best_k_models": {f"{precious}": worst}, "current_score": None,
    }  # fmt: skip
    content["best_scores"], content["metrics"] = {}, {}
    torch.save(content, path := tmp_path / "evil.ckpt")
    more = [f"ckpt_path={path}", "trainer.max_epochs=3", "test=false"]
    outcome = command("train", *RUN, *more, outputs=tmp_path / "o")
    assert outcome.code == 0, outcome.err
    assert (precious / "thesis.tex").is_file()
