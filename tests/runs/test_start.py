"""Checkpoints that fit, but for one part that going on needs: one line, before anything is lost."""

from collections.abc import Callable
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
from support.commands import SHORT, Outcome, command

Content = dict[str, Any]


def parts(content: Content) -> tuple[Any, Any]:
    return content["optimizer_states"][0]["state"], content["loops"]["fit_loop"]


def shape(content: Content) -> None:
    parts(content)[0][0]["square_avg"] = torch.zeros(2, 2)


def no_average(content: Content) -> None:
    del parts(content)[0][1]["square_avg"]


def no_progress(content: Content) -> None:
    del parts(content)[1]["epoch_progress"]


def odd_progress(content: Content) -> None:
    parts(content)[1]["epoch_loop.batch_progress"] = "many"


def no_processes(content: Content) -> None:
    content["processes"] = []


def odd_random_state(content: Content) -> None:
    content["processes"][0]["random"]["torch"] = torch.zeros(3, dtype=torch.uint8)


def odd_python_state(content: Content) -> None:
    content["processes"][0]["random"]["python"] = (3, torch.zeros(2), None)


def no_score(content: Content) -> None:
    content["processes"][0]["scores"] = {}


def odd_metrics(content: Content) -> None:
    content["metrics"] = {"val/acc": "high"}


def odd_settings(content: Content) -> None:
    content["settings"] = {"x" * 5000: "y" * 5000, 1: 2}


def tensor_for_a_setting(content: Content) -> None:
    content["settings"]["seed"] = torch.zeros(2)


def shared_lists(content: Content) -> None:
    parts(content)[0][0]["evil"] = hostile.shared_lists(25)


def shared_metrics(content: Content) -> None:
    content["callbacks"]["RunSummary"]["metrics"] = {"x": hostile.shared_lists(60)}


def bare(content: Content) -> None:
    for name in ("optimizer_states", "loops"):
        del content[name]


def optimizer_of_another(content: Content) -> None:
    content["optimizer_states"][0]["param_groups"] = []


def no_optimizer(content: Content) -> None:
    content["optimizer_states"] = []


def python_words(content: Content) -> None:
    content["processes"][0]["random"]["python"] = (3, torch.full((625,), -1), None)


def negative_words(content: Content) -> None:
    content["processes"][0]["random"]["numpy"]["state"]["key"] -= 1 << 32


def huge_number(content: Content) -> None:
    content["metrics"]["val/loss"] = 10**400


def score_of_another_shape(content: Content) -> None:
    content["processes"][0]["scores"]["train_score"]["correct"] = torch.zeros(2, dtype=torch.int64)


def given_of_another_kind(content: Content) -> None:
    parts(content)[1]["state_dict"]["combined_loader"] = [{"given": "x"}]


def no_loader(content: Content) -> None:
    parts(content)[1]["state_dict"]["combined_loader"] = []


def negative_epochs(content: Content) -> None:
    for kind in ("total", "current"):
        parts(content)[1]["epoch_progress"][kind] = dict.fromkeys(EVENTS, -4)
    content["epoch"] = -4


EVENTS = ("ready", "started", "processed", "completed")
NOT_WRITTEN_BY_US = "not a checkpoint written by train.py, or damaged"
WRONG = {
    shape: "damaged: it is not the state of this optimizer",
    no_average: "damaged: it is not the state of this optimizer",
    no_progress: "damaged: 'epoch_progress'",
    odd_progress: "damaged: string ind",
    no_processes: "damaged: it has no process's state",
    odd_random_state: "damaged: Expected a CPUGeneratorImplState of size 5056",
    odd_python_state: "damaged: a Mersenne Twister's state has 624 words of 32 bits",
    python_words: "damaged: a Mersenne Twister's state has 624 words of 32 bits",
    negative_words: "damaged: a Mersenne Twister's state has 624 words of 32 bits",
    no_score: "damaged: its scores are others",
    score_of_another_shape: "damaged: its scores are others",
    odd_metrics: "damaged: its metrics are no numbers",
    huge_number: NOT_WRITTEN_BY_US,
    odd_settings: "damaged: its settings are not plain values",
    tensor_for_a_setting: "damaged: its settings are not plain values",
    bare: "has weights only; expected a checkpoint that training can go on from",
    optimizer_of_another: "damaged: it is not the state of this optimizer",
    no_optimizer: "damaged: it is not the state of this optimizer",
    shared_lists: NOT_WRITTEN_BY_US,
    shared_metrics: NOT_WRITTEN_BY_US,
    given_of_another_kind: "damaged: its counters are no whole numbers from 0",
    no_loader: "damaged: list index out of range",
    negative_epochs: "damaged: its counters are no whole numbers from 0",
}
RUN = (*SHORT, "model.hidden_size=8", "callbacks=early_stopping")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = command("train", *RUN, "test=false", outputs=tmp_path_factory.mktemp("run"))
    assert outcome.code == 0, outcome.err
    return outcome


def content_of(run: Outcome) -> Content:
    return torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)


def find(ckpt_path: Path) -> start.Start | None:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        given = [*RUN, "trainer.max_epochs=3", f"ckpt_path='{ckpt_path}'"]
        cfg = hydra.compose("train", given)
    return start.find(cfg, instantiate(cfg.model))


def test_a_whole_one_is_where_a_run_begins(run: Outcome) -> None:
    begin = find(run.folder / "checkpoints" / "last.ckpt")
    assert begin is not None
    assert (begin.step, begin.epochs, begin.batch) == (60, 2, 0)


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_a_part_that_is_wrong_is_named(
    damage: Callable[[Content], None], run: Outcome, tmp_path: Path
) -> None:
    content = content_of(run)
    damage(content)
    path = tmp_path / "damaged.ckpt"
    torch.save(content, path)
    with pytest.raises(InputError) as caught:
        find(path)
    line = str(caught.value)
    assert line.startswith(f"ckpt_path={path}: {WRONG[damage]}")
    assert line.isprintable()
    assert len(line) < 300 + len(str(path))


def test_the_command_says_so_in_one_line(run: Outcome, tmp_path: Path) -> None:
    content = content_of(run)
    negative_epochs(content)
    path = tmp_path / "damaged.ckpt"
    torch.save(content, path)
    outcome = command("train", *RUN, f"ckpt_path={path}", outputs=tmp_path)
    said = f"error: ckpt_path={path}: damaged: its counters are no whole numbers from 0\n"
    assert (outcome.code, outcome.err) == (2, said)


@pytest.mark.parametrize("loop", ["validate_loop", "test_loop", "predict_loop"])
def test_a_test_never_begins_in_the_middle(loop: str, run: Outcome, tmp_path: Path) -> None:
    content = content_of(run)
    for kind in ("total", "current"):
        content["loops"][loop]["batch_progress"][kind] = dict.fromkeys(EVENTS, 5)
    torch.save(content, tmp_path / "x.ckpt")
    read = AtomicCheckpointIO().load_checkpoint(tmp_path / "x.ckpt")
    assert read["loops"].keys() == {"fit_loop", "validate_loop", "test_loop", "predict_loop"}
    assert read["loops"][loop] == {}


def test_no_file_that_a_checkpoint_names_is_removed(run: Outcome, tmp_path: Path) -> None:
    """Lightning removes the best checkpoint so far when a better one comes."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    content = content_of(run)
    (key,) = (key for key in content["callbacks"] if key.startswith("BestCheckpoint"))
    for scheme in ("", "local://"):
        evil = {"best_model_score": torch.tensor(-1.0), "best_model_path": f"{scheme}{precious}"}
        evil |= {"kth_best_model_path": f"{scheme}{precious}", "kth_value": torch.tensor(-1.0)}
        evil |= {"best_k_models": {f"{scheme}{precious}": torch.tensor(-1.0)}}
        evil |= {"last_model_path": "", "current_score": None}
        content["callbacks"][key], content["best_scores"] = evil, {}
        content["metrics"] = {}
        path = tmp_path / "evil.ckpt"
        torch.save(content, path)
        more = [f"ckpt_path={path}", "trainer.max_epochs=3", "test=false"]
        outcome = command("train", *RUN, *more, outputs=tmp_path / f"o{scheme[:1]}")
        assert outcome.code == 0, outcome.err
        assert (precious / "thesis.tex").is_file()
