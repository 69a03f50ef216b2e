"""Checkpoints that fit, but for one part that going on needs: one line, before anything is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hostile
from conftest import Outcome, command

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


def odd_callbacks(content: Content) -> None:
    content["callbacks"]["RunSummary"] = {"metrics": 3}


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


def tensor_for_a_metric(content: Content) -> None:
    content["callbacks"]["RunSummary"]["metrics"] = {"x": torch.zeros(2)}


def bare(content: Content) -> None:
    for name in ("optimizer_states", "loops"):
        del content[name]


def optimizer_of_another(content: Content) -> None:
    content["optimizer_states"][0]["param_groups"] = []


def no_optimizer(content: Content) -> None:
    content["optimizer_states"] = []


DAMAGES = [
    shape, no_average, no_progress, odd_progress, no_processes, odd_random_state,
    odd_python_state, no_score, odd_callbacks, odd_metrics, odd_settings, bare,
    optimizer_of_another, no_optimizer, tensor_for_a_setting, shared_lists, shared_metrics,
    tensor_for_a_metric,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_part_that_is_wrong_is_named(
    damage: Callable[[Content], None], finished: Outcome, tmp_path: Path
) -> None:
    last = finished.folder / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    damage(content)
    path = tmp_path / "damaged.ckpt"
    torch.save(content, path)
    short = ["trainer.limit_train_batches=30", "data.val_size=5000", "trainer.max_epochs=3"]
    outcome = command("train", *short, f"ckpt_path={path}", outputs=tmp_path)
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith(("error: ckpt_path=", "error: trainer.devices: "))
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 1000


def test_no_file_that_a_checkpoint_names_is_removed(finished: Outcome, tmp_path: Path) -> None:
    """Lightning removes the best checkpoint so far when a better one comes."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    content = torch.load(finished.folder / "checkpoints" / "last.ckpt", weights_only=True)
    (key,) = (key for key in content["callbacks"] if key.startswith("BestCheckpoint"))
    for scheme in ("", "local://"):
        evil = {"best_model_score": torch.tensor(-1.0), "best_model_path": f"{scheme}{precious}"}
        evil |= {"kth_best_model_path": f"{scheme}{precious}", "kth_value": torch.tensor(-1.0)}
        evil |= {"best_k_models": {f"{scheme}{precious}": torch.tensor(-1.0)}}
        evil |= {"last_model_path": "", "current_score": None}
        content["callbacks"][key], content["best_scores"] = evil, {}
        path = tmp_path / "evil.ckpt"
        torch.save(content, path)
        short = ["trainer.limit_train_batches=30", "data.val_size=5000", "trainer.max_epochs=3"]
        outcome = command("train", *short, f"ckpt_path={path}", outputs=tmp_path / f"o{scheme[:1]}")
        assert outcome.code == 0, outcome.err
        assert (precious / "thesis.tex").is_file()
