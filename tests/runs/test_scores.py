import pytest
from omegaconf import OmegaConf

from digits.runs.scores import less_is_better


@pytest.mark.parametrize(
    ("name", "less"),
    [("val/acc", False), ("val/loss_best", True), ("val/top_error", True), ("fit_seconds", True)],
)
def test_a_name_says_which_way_is_better(name: str, less: bool) -> None:
    assert less_is_better(name) is less


def test_a_callback_that_monitors_the_score_says_it_first() -> None:
    callbacks = {"bar": None, "best": {"monitor": "val/cost", "mode": "min"}}
    for settings in ({"callbacks": callbacks}, OmegaConf.create({"callbacks": callbacks})):
        assert less_is_better("val/cost", settings)
        assert less_is_better("val/cost_best", settings)
        assert not less_is_better("val/f1", settings)
    assert not less_is_better("val/cost", {"callbacks": None})
