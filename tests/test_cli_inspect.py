"""What a plain run leaves to look at, in TensorBoard, as files and in its report."""

import csv
import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from digits.inspection import evidence
from digits.runs.folder import RunFolder
from support import hparams_tab
from support.commands import SHORT, Outcome, command, tool
from support.tensorboard import events, points

EPOCHS = [29, 59]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = command(
        "train", *SHORT, "callbacks=inspect", "seed=1", outputs=tmp_path_factory.mktemp("inspected")
    )
    assert outcome.code == 0, outcome.err
    return outcome


def test_scalars_are_by_step_and_by_epoch(finished: Outcome) -> None:
    folder, metrics = finished.folder, finished.metrics
    tags = events(folder).Tags()["scalars"]
    stages = {f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "acc")}
    assert stages | {
        "train/loss_step", "test/loss", "test/acc", "best/val_acc", "best/val_loss",
        "vs_epoch/train_loss", "vs_epoch/train_acc", "vs_epoch/val_loss", "vs_epoch/val_acc",
        "watch/dead_relus/net.2", "watch/lr", "watch/weight_norm",
    } == set(tags)  # fmt: skip
    for tag in stages:
        assert [step for step, _ in points(folder, tag)] == EPOCHS
        by_epoch = points(folder, f"vs_epoch/{tag.replace('/', '_')}")
        assert [epoch for epoch, _ in by_epoch] == [1, 2]
        assert [value for _, value in by_epoch] == [value for _, value in points(folder, tag)]
        assert by_epoch[-1][1] == pytest.approx(metrics[tag], abs=1e-6)


def test_norms_and_learning_rate_are_the_epochs(finished: Outcome) -> None:
    folder = finished.folder
    assert points(folder, "watch/lr") == [(step, pytest.approx(1e-3)) for step in EPOCHS]
    weights = points(folder, "watch/weight_norm")
    assert [step for step, _ in weights] == EPOCHS
    assert 24.9 < weights[0][1] < weights[1][1] < 40, "784 * 512 weights of variance 2 / 1296"
    dead = points(folder, "watch/dead_relus/net.2")
    assert [step for step, _ in dead] == EPOCHS
    assert all(0 <= share < 0.2 for _, share in dead)


def test_histograms_are_of_weights_and_activations(finished: Outcome) -> None:
    read = events(finished.folder)
    assert set(read.Tags()["histograms"]) == {
        "watch_activations/net.2", "watch_activations/net.3",
        *(f"watch_weights/net.{layer}.{kind}" for layer in (1, 3) for kind in ("weight", "bias")),
    }  # fmt: skip
    first = read.Histograms("watch_weights/net.1.weight")
    assert [event.step for event in first] == EPOCHS
    assert first[-1].histogram_value.num == 784 * 512
    assert sum(first[-1].histogram_value.bucket) == 784 * 512
    assert -1 < first[-1].histogram_value.min < -0.06, "Glorot's bound is 0.068"
    (hidden, _) = read.Histograms("watch_activations/net.2")
    assert hidden.histogram_value.num == 1000 * 512
    assert hidden.histogram_value.min == 0


def test_pictures_are_those_on_disk(finished: Outcome) -> None:
    read = events(finished.folder)
    names = {path.stem for path in RunFolder(finished.folder).figures.iterdir()}
    assert names == {"curves", "calibration", "samples", "confusion", "mistakes", "weights"}
    assert set(read.Tags()["images"]) == {f"views/{name}" for name in names}
    for name in names:
        (event,) = read.Images(f"views/{name}")
        on_disk = (RunFolder(finished.folder).figures / f"{name}.png").read_bytes()
        assert event.encoded_image_string == on_disk
        assert Image.open(BytesIO(on_disk)).size == (event.width, event.height)


def test_the_dearer_parts_are_a_callback(inspected: Outcome) -> None:
    read, folder = events(inspected.folder), inspected.folder
    assert points(folder, "watch/lr") == [(49, pytest.approx(1e-3))]
    for layer in (1, 3):
        norms = points(folder, f"watch/gradient_norm/net.{layer}.weight")
        assert [step for step, _ in norms] == [49]
        (event,) = read.Histograms(f"watch_gradients/net.{layer}.weight")
        assert (event.step, event.histogram_value.num) == (49, (784 if layer == 1 else 10) * 512)
    ((_, whole),) = points(folder, "watch/gradient_norm")
    parts = [points(folder, f"watch/gradient_norm/net.{layer}.{kind}")[0][1]
             for layer in (1, 3) for kind in ("weight", "bias")]  # fmt: skip
    assert sum(part**2 for part in parts) ** 0.5 == pytest.approx(whole, rel=1e-5)
    (points_at,) = RunFolder(folder).tensorboard.glob("projector/*/hidden layer")
    assert (np.asarray(Image.open(points_at / "sprite.png"))[:2, :28] == 255).all(), "paper"
    rows = (points_at / "tensors.tsv").read_text().splitlines()
    hidden = np.array([row.split("\t") for row in rows], float)
    assert hidden.shape == (1000, 512)
    assert hidden.min() == 0
    assert 0.1 < (hidden == 0).mean() < 0.95
    with (points_at / "metadata.tsv").open() as file:
        told = list(csv.DictReader(file, delimiter="\t"))
    assert [row["label"] for row in told[:5]] == ["7", "2", "1", "0", "4"]
    right = sum(row["right"] == "yes" for row in told)
    assert right == sum(row["label"] == row["predicted"] for row in told) > 850


def test_precision_and_recall_are_of_each_class(finished: Outcome) -> None:
    read = events(finished.folder)
    found = evidence.read(RunFolder(finished.folder).evidence)
    assert found is not None
    for label in range(10):
        (event,) = read.Tensors(f"class/{label}")
        values = np.array(event.tensor_proto.float_val).reshape(6, -1)
        positive, _, _, missed = values[:4, 0]
        assert (positive, missed) == ((found.labels_N == label).sum(), 0), "all, from 0 on"
        precision, recall = values[4:, 63]
        assert 0.5 < precision <= 1
        assert 0.5 < recall <= 1


def test_one_chart_has_train_and_val_and_text_the_settings(finished: Outcome) -> None:
    read = events(finished.folder)
    (event,) = read.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    first = layout.category[0].chart[0]
    assert (first.title, list(first.multiline.tag)) == ("loss", ["^train/loss$", "^val/loss$"])
    (settings,) = read.Tensors("run/settings/text_summary")
    words = settings.tensor_proto.string_val[0].decode()
    assert "      lr: 0.001\n" in words
    assert "max_epochs: 2\n" in words
    assert "${" not in words
    assert read.Tensors("run/command/text_summary")


def test_evidence_is_what_the_test_measured(finished: Outcome) -> None:
    found = evidence.read(RunFolder(finished.folder).evidence)
    assert found is not None
    assert str(found.stage) == "test"
    assert found.count == 10_000
    assert found.correct / found.count == pytest.approx(finished.metrics["test/acc"], abs=1e-7)
    assert found.probabilities_NP.shape == (10_000, 10)
    assert np.array_equal(found.probabilities_NP.max(1), found.confidence_N)
    loss = -np.log(found.probabilities_NP[np.arange(10_000), found.labels_N].astype(float)).mean()
    assert loss == pytest.approx(finished.metrics["test/loss"], rel=1e-4)
    three = found.labels_N == 3
    said = found.predicted_N == 3
    precision, recall = (three & said).sum() / said.sum(), (three & said).sum() / three.sum()
    assert finished.metrics["class/3/precision"] == pytest.approx(precision, abs=1e-6)
    assert finished.metrics["class/3/recall"] == pytest.approx(recall, abs=1e-6)
    assert finished.metrics["class/3/f1"] == pytest.approx(
        2 / (1 / precision + 1 / recall), abs=1e-6
    )
    assert len(found.sample_labels_S) == 32
    assert len(found.shown_M) == min(500, found.count - found.correct)
    assert found.weights_UHW.shape == (64, 28, 28)


def test_a_sweep_has_the_same_columns_in_every_run_and_a_page(tmp_path: Path) -> None:
    words = ("-m", "model.optimizer.lr=0.001,0.003", "hydra/launcher=basic", "trainer.max_epochs=1",
             "trainer.limit_train_batches=10", "data.val_size=1000")  # fmt: skip
    outcome = command("train", *words, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    first, second = runs = hparams_tab.runs(tmp_path)
    assert {run["hparams"]["model.optimizer.lr"] for run in runs} == {0.001, 0.003}
    assert second["hparams"].keys() == first["hparams"].keys()
    assert second["metrics"].keys() == first["metrics"].keys() >= {"val/acc", "train/loss"}
    assert min(first["metrics"]) == "best/val_acc", "of the five that are shown, the first"
    assert not [name for name in first["hparams"] if "_partial_" in name or "_target_" in name]
    assert "model.scheduler_interval" not in first["hparams"]
    assert first["hparams"]["model.optimizer"] == "RMSprop"
    (sweep,) = tmp_path.glob("multirun/*")
    names = ["00_lr-0.001", "01_lr-0.003"]
    assert sorted(run["name"] for run in runs) == [f"{name} {sweep.name}" for name in names]
    for job in [RunFolder(sweep / name) for name in names]:
        found = evidence.read(job.evidence)
        assert found is not None
        assert (str(found.stage), found.count) == ("val", 1000)
        best = json.loads(job.metrics_json.read_text())["val/acc_best"]
        assert found.correct / 1000 == pytest.approx(best, abs=1e-7)
        assert job.report.is_file()
    code, out, err = tool("report", str(sweep))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"report {sweep / 'report.html'}"
    assert "2 runs compared" in (sweep / "report.html").read_text()


def test_a_resumed_run_shows_one_curve(
    stop_at: Callable[[int], None], finished: Outcome, tmp_path: Path
) -> None:
    """Stopped within the second epoch."""
    stop_at(45)
    assert command("train", *SHORT, outputs=tmp_path).code == 143
    stop_at(0)
    again = command("train", "resume=latest", outputs=tmp_path)
    assert again.code == 0, again.err
    read = events(finished.folder)
    for tag in read.Tags()["scalars"]:
        assert points(again.folder, tag) == points(finished.folder, tag), tag
    steps = [event.step for event in events(again.folder).Histograms("watch_weights/net.3.bias")]
    assert steps == EPOCHS
    ours, theirs = (RunFolder(run.folder).figures for run in (again, finished))
    for name in ("confusion", "mistakes", "weights"):
        assert (ours / f"{name}.png").read_bytes() == (theirs / f"{name}.png").read_bytes(), name


def test_nothing_of_it_changes_the_weights(finished: Outcome, tmp_path: Path) -> None:
    bare = command(
        "train", *SHORT, "callbacks.watch=null", "callbacks.report=null", "callbacks.samples=null",
        "logger=csv", outputs=tmp_path,
    )  # fmt: skip
    assert bare.code == 0, bare.err
    for name in ("train/loss", "val/loss", "test/loss"):
        assert bare.metrics[name] == finished.metrics[name]
    assert not RunFolder(bare.folder).figures.exists()
    assert not RunFolder(bare.folder).report.exists()


def test_the_report_command_shows_a_run_and_compares_several(
    finished: Outcome, inspected: Outcome, tmp_path: Path
) -> None:
    made = tmp_path / "report.html"
    code, out, err = tool("report", str(finished.folder), "--output", str(made))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    name, seconds = finished.folder.name, finished.metrics["fit_seconds"]
    assert f"{name}: finished, 2 epochs, {seconds:.1f} s of training, " in lines[0]
    assert lines[1].startswith(f"{finished.metrics['test/acc']:.4f} of 10,000 test images right")
    assert lines[-1] == f"report {made}"
    for text in (made.read_text(), RunFolder(finished.folder).report.read_text()):
        assert text.count("data:image/png;base64,") == 6
        assert "train.py trainer.max_epochs=2 trainer.limit_train_batches=30 " in text
        assert "finished, 2 epochs, " in text
    figures = inspected.folder / "figures"
    before = sorted(figures.iterdir())
    shutil.rmtree(figures)
    assert tool("report", str(inspected.folder))[0] == 0
    assert sorted(figures.iterdir()) == before
    both = tmp_path / "both.html"
    runs = [str(finished.folder), str(inspected.folder)]
    code, out, err = tool("report", *runs, "--output", str(both))
    assert (code, err) == (0, "")
    assert "They differ in seed, callbacks.watch._target_, " in out
    assert "only A is right" in out
    assert both.read_text().count("data:image/png;base64,") == 2


@pytest.mark.parametrize("given", ["nowhere", "configs"])
def test_no_run_is_one_line(given: str) -> None:
    code, _, err = tool("report", given)
    line = f"error: {given}: no run's folder; expected one that python src/train.py wrote\n"
    assert (code, err) == (2, line)
