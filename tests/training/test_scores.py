"""The best score of all epochs, and which way is better."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from digits.training.scores import BestScores, Divergence

WAYS = [
    ("val/acc", [], 0.9),
    ("val/loss", [], 0.5),
    ("val/acc", [SimpleNamespace(monitor="val/acc", mode="max")], 0.9),
    ("val/acc", [SimpleNamespace(monitor="val/acc", mode="min")], 0.5),
    ("val/acc", [SimpleNamespace(monitor="val/acc")], 0.9),  # pruning's, or anyone's
    ("val/loss", [SimpleNamespace(monitor="val/acc", mode="max")], 0.5),
    ("val/loss", [SimpleNamespace(monitor="val/loss", mode="max")], 0.9),
]


@pytest.mark.parametrize(("name", "callbacks", "best"), WAYS, ids=range(len(WAYS)))
def test_a_callbacks_mode_says_which_way_is_better_else_the_name(
    name: str, callbacks: list[Any], best: float
) -> None:
    scores = BestScores()
    trainer: Any = SimpleNamespace(
        sanity_checking=False, state=SimpleNamespace(fn=TrainerFn.FITTING), callbacks=callbacks
    )
    for value in (0.6, 0.9, 0.5, 0.7):
        trainer.callback_metrics = {name: torch.tensor(value)}
        scores.on_validation_end(trainer, trainer)
    assert scores.best == {f"{name}_best": pytest.approx(best)}


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        (22.9, None),  # ten times the loss of guessing is ln(10) * 10 = 23.03
        (
            23.1,
            "train/loss is 23.1, and 2.3 would be guessing; a lower model.optimizer.lr may help",
        ),
    ],
)
def test_a_loss_far_above_that_of_guessing_is_told(loss: float, line: str | None) -> None:
    divergence = Divergence()
    trainer: Any = SimpleNamespace(
        callback_metrics={"train/loss": torch.tensor(loss)},
        datamodule=SimpleNamespace(classes=10),
        current_epoch=0,
        fit_loop=SimpleNamespace(
            epoch_loop=SimpleNamespace(
                batch_progress=SimpleNamespace(current=SimpleNamespace(ready=1))
            )
        ),
    )
    divergence.on_epoch_scored(trainer, trainer)
    assert divergence.warning == line
