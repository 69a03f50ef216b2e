"""Studies: their sweeps, tables and scores, and the ways to spoil a digit."""

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest

from digits import signals
from digits.data.batches import split
from digits.errors import InputError
from studies import run
from studies.calibration import study as calibration
from studies.robustness import study as robustness
from studies.robustness.corruptions import (
    CORRUPTIONS,
    Corruption,
    blur,
    crop,
    noise,
    rotation,
    scale,
    shear,
    shift,
    skeleton,
    spoilt,
    thicker,
    thinner,
)
from studies.study import markdown, means

TINY = """
from matplotlib.figure import Figure
from studies.study import Study, scores

STUDY = Study(
    words=("data._target_=support.fits.Drawn", "data.batch_size=8", "data.val_size=8",
           "test=false", "trainer.max_epochs=1", "trainer.limit_train_batches=2",
           "model.hidden_size=2,4", "logger=csv", "callbacks.samples=null",
           "callbacks.watch=null", "callbacks.report=null", "hydra/launcher=basic"),
    by=["hidden units"],
    measure=scores({"hidden units": "model.hidden_size"}, {"epochs": "epochs"}),
    draw=lambda rows: Figure(),
)
"""
README = "# Tiny\n\n<!-- results -->\nold\n<!-- end of results -->\nmore\n"
RESULTS = """# Tiny

<!-- results -->
| hidden units | epochs | n |
| --- | --- | --- |
| 2 | 1.0000 | 1 |
| 4 | 1.0000 | 1 |

2 runs, 0 minutes of training one after the other.

![figure](figure.png)
<!-- end of results -->
more
"""


class Stop(L.Callback):
    """Stops the second job, once."""

    def __init__(self, folder: str) -> None:
        self.jobs = Path(folder)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        (self.jobs / str(len(list(self.jobs.iterdir())))).touch()
        if (self.jobs / "1").exists() and not (self.jobs / "2").exists():
            raise signals.Stopped(2)


def test_a_study_goes_on_after_a_stop_and_then_only_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, begun = tmp_path / "studies" / "tiny", tmp_path / "begun"
    here.mkdir(parents=True)
    begun.mkdir()
    (here / "study.py").write_text(TINY)
    (here / "README.md").write_text(README)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(run, "HERE", here.parent)
    words = [f"paths.outputs_dir={tmp_path}/out", "+callbacks.stop._target_=test_studies.Stop",
             f"+callbacks.stop.folder={begun}", "seed=0"]  # fmt: skip
    given = Namespace(name="tiny", words=words)
    run.main(Namespace(name="tiny", words=[*words, "model.hidden_size=2"]))
    (here / "README.md").write_text(README)
    with pytest.raises(signals.Stopped):
        run.main(given)
    assert "stopped; go on with" in capsys.readouterr().err
    assert (here / "README.md").read_text() == README
    run.main(given)
    assert "1 of 2 jobs are finished already" in capsys.readouterr().out
    run.main(given)
    assert capsys.readouterr().out == "studies/tiny: table.csv, figure.png, README.md\n"
    other = "begun with other settings; these differ: trainer.max_epochs=2; expected the same"
    with pytest.raises(InputError, match=other):
        run.main(Namespace(name="tiny", words=[*words, "trainer.max_epochs=2"]))
    assert len(list(begun.iterdir())) == 3  # the first job, the second one twice
    assert (here / "README.md").read_text() == RESULTS
    assert (here / "table.csv").read_text() == "hidden units,epochs,epochs sd,n\n2,1,,1\n4,1,,1\n"
    assert (here / "figure.png").read_bytes()[1:4] == b"PNG"


def test_what_is_no_study_and_a_recipe_without_a_config_are_refused() -> None:
    for name, words, line in (
        ("not_sure", [], "not_sure: no study that is a sweep; not_sure/README.md says how"),
        ("wide", [], r"wide: no study that is a sweep; expected \['ablation', 'calibration', "),
        ("width", ["experiment=reference,worst"],
         "experiment=worst: no such recipe; expected some of .*reference"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=line):
            run.main(Namespace(name=name, words=words))


def test_rows_are_means_over_seeds() -> None:
    rows = [
        {"recipe": recipe, "px": 3.0, "seed": seed, "_bins": None, "accuracy": accuracy}
        for recipe, seed, accuracy in (("b", 0, 0.5), ("b", 1, 0.7), ("a", 0, 1.0))
    ]
    table = means(rows, ["recipe", "px"])
    assert table == [
        {"recipe": "b", "px": 3, "accuracy": 0.6, "accuracy sd": pytest.approx(0.02**0.5), "n": 2},
        {
            "recipe": "a",
            "px": 3,
            "accuracy": 1.0,
            "accuracy sd": pytest.approx(np.nan, nan_ok=True),
            "n": 1,
        },
    ]
    assert markdown(table, ["recipe", "px"], "recipe") == (
        "| px | b | a |\n| --- | --- | --- |\n| 3 | 0.6000 ± 0.1414 | 1.0000 |"
    )


def test_calibration_by_hand() -> None:
    p_NK = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    found = calibration.scored("", p_NK, np.array([0, 1, 1, 1]))
    # in the bin of 0.9 half are right, in that of 0.6 all: (2 * 0.4 + 2 * 0.4) / 4
    assert found["ECE"] == pytest.approx(0.4)
    # (2 * 0.1**2 + 2 * 0.9**2 + 2 * 2 * 0.4**2) / 4
    assert found["Brier"] == pytest.approx((0.02 + 1.62 + 0.64) / 4)


def image(*ink: tuple[Any, Any]) -> Any:
    """Full ink at these (rows, columns)."""
    made = np.zeros((28, 28))
    for place in ink:
        made[place] = 255
    return made


class Plus:
    """In place of random signs."""

    def choice(self, _: object) -> int:
        return 1


PLUS: Any = Plus()


def test_a_pixel_is_where_it_was_moved() -> None:
    """Each image of many either way: a quarter turn is about the middle, between pixels 13, 14."""
    for spoil, strength, places in (
        (shift, 3, {(7, 9), (7, 15), (13, 9), (13, 15)}),
        (rotation, 90, {(12, 17), (15, 10)}),
        (shear, 2, {(10, 5), (10, 19)}),
    ):
        dots_NHW = np.stack([image((10, 12)).astype(np.uint8)] * 40)
        moved_NHW = spoilt(dots_NHW, Corruption(spoil, "", ()), strength)
        assert {tuple(place) for _, *place in np.argwhere(moved_NHW > 99)} == places
    square = image((slice(12, 16), slice(12, 16)))
    assert np.allclose(scale(square, 0.5, PLUS), image((slice(13, 15), slice(13, 15))))
    # 10.5 rows above the middle, at half a column a row: 5.25 columns
    sheared = shear(image((3, 13)), 0.5, PLUS)
    assert np.allclose(sheared[3, 18:20], [255 * 0.75, 255 * 0.25])
    square = image((slice(5, 19), slice(3, 17)))
    assert np.allclose(crop(square, 0, PLUS)[1:-1, 1:-1], 255)
    assert np.allclose(crop(square, 7, PLUS), image((slice(7, 21), slice(7, 21))))
    across = blur(image((14, 14)), 1.5, PLUS).sum(0) / 255
    assert (across * (np.arange(28) - 14) ** 2).sum() == pytest.approx(1.5**2, rel=0.02)


def test_strokes_get_wider_and_narrower_by_pixels_in_all() -> None:
    line = (slice(4, 24), 13)
    wide = image((line[0], slice(11, 16)))  # of five pixels
    assert np.array_equal(thicker(image(line), 2, PLUS)[14], image((14, slice(12, 15)))[14])
    assert np.array_equal(thinner(wide, 2, PLUS)[14], image((14, slice(12, 15)))[14])
    assert np.array_equal(thinner(image(line), 2, PLUS)[14], image(line)[14])
    # at most half a pixel of each end of a line goes
    assert thinner(image(line), 3, PLUS)[4:24, 13].min() >= 127
    assert skeleton(wide > 0).sum(1)[8:20].tolist() == [1] * 12


def test_noise_has_its_standard_deviation_and_the_same_numbers_each_time() -> None:
    grey_NHW = np.full((20, 28, 28), 128, np.uint8)
    noisy_NHW = spoilt(grey_NHW, Corruption(noise, "", ()), 0.1)
    # 15,680 pixels: the deviation of the deviation is 0.6 %
    assert noisy_NHW.std() / 255 == pytest.approx(0.1, rel=0.03)
    assert np.array_equal(noisy_NHW, spoilt(grey_NHW, Corruption(noise, "", ()), 0.1))
    assert spoilt(np.full((1, 28, 28), 255, np.uint8), Corruption(noise, "", ()), 0.1).min() > 99
    assert len(CORRUPTIONS) == 10
    assert {len(each.strengths) for each in CORRUPTIONS} == {5}


JOB: Any = SimpleNamespace(name="0", ended="now", run=SimpleNamespace(last="last.ckpt"),
                           words={"experiment": "reference", "seed": "0"})  # fmt: skip


def test_held_out_images_choose_the_temperature_at_which_test_images_are_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Always 0.9 for class 0: of the images held out 3 of 4 are, of the others all, of the test's
    none. So the logits' difference, ln 9, is twice what it should be, ln 3.
    """
    labels_N = np.zeros(400, int)
    labels_N[split(400, range(100))[0][:25]] = 1
    parts = {"train": (np.zeros(400), labels_N), "test": (np.zeros(8), np.ones(8, int))}
    monkeypatch.setattr(calibration, "HELD_OUT", 100)
    monkeypatch.setattr(calibration, "images", parts.get)
    loaded = SimpleNamespace(network=lambda images_N: np.tile([[0.9, 0.1]], (len(images_N), 1)))
    monkeypatch.setattr(calibration.loading, "from_file", lambda _: loaded)
    (row,) = calibration.measure({"": [JOB]}, Path())
    found = [value for value in row.values() if isinstance(value, float)]
    assert found == pytest.approx([2, 0.9, 2 * 0.9**2, 0.75, 2 * 0.75**2], abs=0.01)


def test_what_is_measured_of_spoilt_images_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_NHW = np.stack([image((slice(5, 20), 10)), image((slice(5, 20), slice(10, 20)))])
    monkeypatch.setattr(
        robustness, "images", lambda _: (few_NHW.astype(np.uint8), np.array([0, 1]))
    )
    monkeypatch.setattr(robustness, "CORRUPTIONS", CORRUPTIONS[8:9])  # contrast

    def network(images_NHW: Any) -> Any:
        ink_N = images_NHW.mean((1, 2))
        return np.stack([ink_N < 10, ink_N >= 10], 1)

    monkeypatch.setattr(robustness.loading, "from_file", lambda _: SimpleNamespace(network=network))
    rows = robustness.measure({"": [JOB]}, tmp_path)
    assert {row["corruption"] for row in rows} == {"nothing", "contrast"}
    # the mean of the second image is 255 * 150 / 784 = 49; a fifth of it is below 10
    found = {row["strength"]: row["accuracy"] for row in rows}
    assert found == {0: 1.0, 0.8: 1.0, 0.6: 1.0, 0.45: 1.0, 0.3: 1.0, 0.15: 0.5}
    monkeypatch.setattr(robustness, "spoilt", None)
    assert robustness.measure({"": [JOB]}, tmp_path) == rows
    assert len(json.loads((tmp_path / "accuracies.json").read_text())) == 6
    with pytest.raises(TypeError):  # a job that ran again is measured again
        robustness.measure({"": [SimpleNamespace(**vars(JOB) | {"ended": "later"})]}, tmp_path)
