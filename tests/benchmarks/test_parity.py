"""Parity's statistics, and that its page says what its records have."""

from pathlib import Path
from typing import Any

import pytest
from parity import equivalence, page, record, runs

from support.commands import ROOT


def line(side: str, seed: int, acc: float = 0.98, **more: Any) -> dict[str, Any]:
    return {"side": side, "seed": seed, "acc": acc, "weights": f"{side}{seed}"} | more


def test_a_side_has_a_mean_with_its_interval_and_seeds_spread_wider() -> None:
    found = equivalence.summary([1, 2, 3, 4])
    assert (found.n, found.mean) == (4, 2.5)
    assert found.sd == pytest.approx(1.290994)
    assert (found.low, found.high) == pytest.approx((0.445740, 4.554260))
    assert found.seed == pytest.approx((-2.093466, 7.093466))


SCORES = [0.9791, 0.9793, 0.9790, 0.9794]


def test_a_difference_has_welchs_interval_and_is_tested_against_a_tenth_of_a_point() -> None:
    near = equivalence.difference(SCORES, [0.9789, 0.9795, 0.9792])
    assert (near.mean, near.low, near.high) == pytest.approx((0.0, -0.000611, 0.000611), abs=1e-6)
    assert near.tost == pytest.approx(0.006668, abs=1e-6)
    assert near.is_equivalent
    apart = equivalence.difference([0.9789, 0.9795, 0.9792], [score + 0.0008 for score in SCORES])
    assert apart.mean == pytest.approx(-0.0008)
    assert apart.tost > 0.05
    assert not apart.is_equivalent


def test_what_has_a_record_is_not_run_again(tmp_path: Path) -> None:
    assert record.LOOKS == (59, 118, 176, 235, 294, 352, 411, 469)  # eighths of an epoch
    path = tmp_path / "parity.jsonl"
    for seed in range(5):
        runs.add(line("ours", seed), path)
    runs.add(line("bare", 3), path)
    assert runs.missing(runs.read(path), ["ours", "bare"], 7) == [
        ("bare", [0, 1, 2, 4]),
        ("check_ours", [4]),
        ("check_ours_plain", [4]),
        ("check_bare", [4]),
        ("trace", [0]),
        ("ours", [5, 6]),
        ("bare", [5, 6]),
    ]


def test_the_page_is_not_written_if_a_seed_that_ran_again_had_other_weights() -> None:
    more = {"loss": 0.07, "first_loss": 0.25, "first_acc": 0.92, "cpu_seconds": 1}
    accuracies = enumerate([0.979, 0.98])
    sides = [line("ours", n, acc, looks=[acc], **more) for n, acc in accuracies]
    again = sides[1] | {"side": "check_ours"}
    said = " ".join(page.text([*sides, again]).split())
    assert "bit for bit: ours, alone in a process" in said
    with pytest.raises(ValueError, match="ours, seed 1: other weights"):
        page.text([*sides, again | {"weights": "others"}])


def test_the_page_says_what_the_records_have() -> None:
    assert (ROOT / "docs" / "parity.md").read_text() == page.text(runs.read())
