"""Several runs, of which the literals are hand-computed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.inspection import comparison, preview, report
from digits.inspection.evidence import Evidence
from digits.inspection.report import Findings, Page
from support import findings
from support.runs import made


def with_right(*places: int) -> Evidence:
    """Of eight images of two classes, those at `places` are right."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    is_right = np.isin(np.arange(8), places)
    wrong = np.flatnonzero(~is_right)
    return findings.evidence(
        labels_N=labels, predicted_N=np.where(is_right, labels, 1 - labels).astype(np.int32),
        shown_M=wrong, pictures_MHW=np.zeros((len(wrong), 4, 4), np.uint8),
    )  # fmt: skip


def read(folder: Path, *runs: tuple[dict, Evidence]) -> list[Findings]:
    return [
        report.read(made(folder / str(n), config=settings | {"paths": {"x": n}}, found=evidence))
        for n, (settings, evidence) in enumerate(runs)
    ]


def page(folder: Path, *runs: tuple[dict, Evidence]) -> Page:
    return comparison.of(comparison.compare(read(folder, *runs)))


RIGHT = [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5, 6), (0, 1, 2), (0, 4, 5, 6, 7)]
SETTINGS = [{"model": {"lr": lr}, "seed": n, "epochs": 2} for lr in (0.1, 0.9) for n in (0, 1)]
FOUR = [(each, with_right(*places)) for each, places in zip(SETTINGS, RIGHT, strict=True)]


def test_settings_that_differ_are_named_and_the_best_comes_first(tmp_path: Path) -> None:
    """Two settings with two seeds each: 6, 7; 3, 5 of 8 right."""
    made = page(tmp_path, *FOUR)
    assert made.verdict == "Best: lr 0.1, seed 1 with 0.8750"
    assert made.status == "They differ in model.lr, seed."
    assert list(made.figures) == ["curves of all runs", "images on which the runs disagree"]
    (runs, over_seeds) = made.tables
    assert [row[0] for row in runs.rows] == [
        "lr 0.1, seed 1", "lr 0.1, seed 0", "lr 0.9, seed 1", "lr 0.9, seed 0",
        "ensemble of 4: their mean probabilities",
    ]  # fmt: skip
    assert list(runs.rows[0][1:]) == [
        "0.1", "1", "0.8750", "0.5291 to 0.9776", "test images", "3.2", "finished",
    ]  # fmt: skip
    assert over_seeds.rows == [
        ["0.1", "2", "0.8125", "0.0884", "0.0184 to 1.0000", "-", "-"],
        ["0.9", "2", "0.5000", "0.1768", "0.0000 to 1.0000", "-1.0000 to 0.4816", "0.13"],
    ]
    lines = preview.of_several(made).splitlines()
    assert lines[0] == made.verdict
    assert lines[lines.index("Over seeds") + 2].split()[:3] == ["0.1", "2", "0.8125"]


def with_scores(of_the_second: list[float], **other: Any) -> Evidence:
    """Four images of two classes, 0 first: the probabilities of class 1."""
    p_N = np.array(of_the_second, np.float32)
    return findings.evidence(
        labels_N=np.array([0, 0, 1, 1], np.int32), predicted_N=(p_N > 0.5).astype(np.int32),
        confidence_N=np.maximum(p_N, 1 - p_N), shown_M=np.zeros(0, np.int64),
        pictures_MHW=np.zeros((0, 4, 4), np.uint8), probabilities_NP=np.stack([1 - p_N, p_N], 1),
        **other,
    )  # fmt: skip


def test_an_ensemble_is_the_mean_of_the_probabilities(tmp_path: Path) -> None:
    """Each has two of four right; together the surer one decides: three. Others do not count."""
    one, other = with_scores([0.1, 0.9, 0.9, 0.4]), with_scores([0.6, 0.3, 0.2, 0.8])
    none = replace(one, probabilities_NP=np.zeros((0, 0), np.float32))
    elsewhere = replace(one, labels_N=one.labels_N[::-1].copy())
    of_validation = replace(other, stage=np.array("val"))
    (runs, *_) = page(tmp_path, *(({"seed": n}, e) for n, e in enumerate(
        (one, other, none, elsewhere)))).tables  # fmt: skip
    assert [row[2] for row in runs.rows] == ["0.5000", "0.5000", "0.5000", "0.5000", "0.7500"]
    assert list(runs.rows[-1]) == [
        "ensemble of 2: their mean probabilities", "", "0.7500", "0.3006 to 0.9544", "test images",
        "", "",
    ]  # fmt: skip
    for number, another in enumerate((elsewhere, of_validation)):
        folder = tmp_path / str(number)
        (runs, *_) = page(folder, ({"seed": 0}, one), ({"seed": 1}, another)).tables
        assert len(runs.rows) == 2


def test_the_mean_is_over_the_replicates_that_were_recorded(tmp_path: Path) -> None:
    told = {"replicates": ["seed", "data.fold"]}
    several = page(tmp_path, *(
        (told | {"lr": lr, "seed": n, "data": {"fold": n}}, with_right(*range(lr + n)))
        for lr in (1, 4) for n in (0, 1)
    ))  # fmt: skip
    over = several.tables[1]
    assert over.title == "Over seed, data.fold"
    assert [list(row[:3]) for row in over.rows] == [["4", "2", "0.5625"], ["1", "2", "0.1875"]]
    assert over.rows[1][-2:] == ["-0.3750 to -0.3750", "-"], "a t test needs a spread"


def test_images_on_which_they_disagree_are_shown() -> None:
    """Image 0 is right in all; 3, 6 in half of the runs, which comes first."""
    shown, captions, title = comparison.divided([evidence for _, evidence in FOUR])
    assert title == "7 of 8 images are right in some runs, wrong in others"
    assert list(shown)[:2] == [3, 6]
    assert captions[:2] == [("cat", "2 of 4 right"), ("dog", "2 of 4 right")]


def test_two_runs_say_what_each_took_an_image_for(tmp_path: Path) -> None:
    both = with_right(0, 1), with_right(0, 2)
    shown, captions, _ = comparison.divided(both)
    assert (list(shown), captions) == ([1, 2], [("cat", "cat / dog"), ("cat", "dog / cat")])
    pair = page(tmp_path, ({"seed": 0}, both[0]), ({"seed": 1}, both[1])).tables[-1]
    assert pair.rows == [["seed 0", "seed 1", "1", "1", "1"]]
    assert "Of their settings it says nothing" in pair.note


@pytest.mark.parametrize("seed", [0, 1])
def test_runs_on_other_images_are_not_paired(tmp_path: Path, seed: int) -> None:
    """Those whose settings do not differ are told apart by name."""
    made = page(tmp_path, ({"seed": 0}, with_right(0)), ({"seed": seed}, findings.evidence()))
    assert [table.title for table in made.tables] == ["Runs", "Over seeds"][: seed + 1]
    assert list(made.figures) == ["curves of all runs"]
    names, what = [("0", "nothing that their settings tell"), ("seed 0", "seed")][seed]
    assert made.tables[0].rows[-1][0] == names
    assert made.status == f"They differ in {what}."


def test_a_damaged_run_is_said_and_the_others_are_compared(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(n), config={"seed": n}, found=with_right(0)) for n in range(3)]
    (runs[0] / "evidence.npz").write_bytes((runs[0] / "evidence.npz").read_bytes()[:-9])
    (runs[1] / "metrics.csv").write_bytes(b"epoch,train/acc\n" + b"0,0.5\n" * 10_000_000)
    page = comparison.of(comparison.compare([report.read(run) for run in runs]))
    assert [line.rpartition("/")[2] for line in page.lines] == [
        "evidence.npz: no run's evidence, or damaged",
        "metrics.csv: no run's metrics, or damaged, or too large",
    ]
    assert [row[2] for row in page.tables[0].rows[:3]] == ["0.6250", "0.1250", "0.1250"]
