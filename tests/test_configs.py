"""Every YAML under configs/ composes and instantiates."""

from itertools import groupby, zip_longest
from pathlib import Path

import hydra
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from digits.commands import (
    app,  # noqa: F401  (knows ${root:} and the like)
    settings,
)
from digits.data import idx
from digits.data.datamodule import ImageDataModule, MNISTDataModule
from digits.data.mnist import TRAIN
from digits.files import CONFIGS
from digits.model.classifier import DigitClassifier
from digits.runs.start import Start
from digits.training.trainer import make_trainer
from support.commands import EMBEDDED, ROOT

FILES = sorted(path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml"))
OF_SEVERAL = ("experiment", "hparams_search")  # choose files of other groups, or set their parts
TOTAL_STEPS = ["model.scheduler.total_steps=9"]  # a fit's, and here is none
GROUPS = [path for path in FILES if path.parent != Path() and path.parts[0] != "hydra"]


def composed(config_name: str, tmp_path: Path, *overrides: str) -> DictConfig:
    given = [f"paths.output_dir={tmp_path}", *overrides]
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return hydra.compose(config_name, given)


def override(path: Path, needs_gpu: tuple[str, ...] = ("gpu", "mps", "ddp")) -> list[str]:
    """What chooses this file on the command line, made to fit a machine without GPUs."""
    chosen = [f"{path.parent}={path.stem}"]
    if path.parts[0] == "trainer" and path.stem in needs_gpu:
        chosen += ["trainer.accelerator=cpu", "trainer.devices=1"]
    more = {
        "early_stopping": ["data.val_size=5000"],
        "folder": ["data.path=${paths.output_dir}"],
        "plateau": ["data.val_size=5000"],
        "one_cycle": TOTAL_STEPS,
        "mlflow": ["logger.mlflow.tracking_uri=file:${paths.output_dir}"],  # needs no database
        "many_loggers": ["logger.mlflow.tracking_uri=file:${paths.output_dir}"],
    }
    if path.parts[0] == "experiment" and path.stem != "reference":
        chosen += TOTAL_STEPS
    return chosen + more.get(path.stem, [])


def rounds() -> list[tuple[Path, ...]]:
    """The files of the groups, one of each group at a time: a round takes half a second."""
    of_groups = [
        list(files) for group, files in groupby(GROUPS, key=lambda p: str(p.parent))
        if group not in OF_SEVERAL
    ]  # fmt: skip
    alone = [(path,) for path in GROUPS if str(path.parent) in OF_SEVERAL]
    return [*alone, *(tuple(filter(None, chosen)) for chosen in zip_longest(*of_groups))]


@pytest.mark.parametrize("chosen", rounds(), ids=lambda paths: " ".join(p.stem for p in paths))
def test_group_files_compose_and_instantiate(
    chosen: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("test/3", "train/3", "train/4"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").touch()
    cfg = composed("train", tmp_path, *(word for path in chosen for word in override(path)))
    settings.check(cfg)
    assert isinstance(instantiate(cfg.data), ImageDataModule)
    model = instantiate(cfg.model)
    assert isinstance(model, DigitClassifier)
    model.configure_optimizers()
    with make_trainer(cfg, Start()) as trainer:
        assert trainer.max_epochs == (cfg.trainer.max_epochs if not cfg.trainer.fast_dev_run else 1)


def test_the_plain_command_is_the_reference_recipe(tmp_path: Path) -> None:
    plain = composed("train", tmp_path)
    recipe = {
        "seed": 0,
        "data.batch_size": 128,
        "data.val_size": 0,
        "model.hidden_size": 512,
        "model.optimizer._target_": "digits.model.rmsprop.RMSprop",
        "model.optimizer.lr": 1e-3,
        "model.optimizer.alpha": 0.9,
        "model.optimizer.eps": 1e-7,
        "model.optimizer.momentum": 0,
        "model.optimizer.weight_decay": 0,
        "model.scheduler": None,
        "trainer.max_epochs": 5,
        "trainer.gradient_clip_val": None,
        "trainer.limit_train_batches": 1.0,
        "trainer.precision": "32-true",
    }
    assert {key: OmegaConf.select(plain, key) for key in recipe} == recipe
    assert composed("train", tmp_path, "experiment=reference") == plain


def test_every_experiment_says_what_it_is_for_and_what_it_gave() -> None:
    experiments = sorted((ROOT / "configs" / "experiment").glob("*.yaml"))
    assert experiments
    for path in experiments:
        lines = path.read_text().splitlines()[2:6]
        said = [line.split()[1] for line in lines]
        assert said == ["For:", "Run:", "Result:", "Cost:"], path
        assert "n=" in lines[2], f"{path}: a result has its n"


@pytest.mark.parametrize(("score", "mode"), [("val/acc", "max"), ("val_loss", "min")])
def test_early_stopping_knows_by_a_name_which_way_is_better(
    score: str, mode: str, tmp_path: Path
) -> None:
    words = ["callbacks=early_stopping", f"callbacks.early_stopping.monitor={score}"]
    assert composed("train", tmp_path, *words).callbacks.early_stopping.mode == mode


@pytest.mark.parametrize("experiment", ["fast", "best", "robust"])
def test_a_better_recipe_has_the_reference_network_and_the_same_images(
    experiment: str, tmp_path: Path
) -> None:
    cfg = OmegaConf.create(composed("train", tmp_path, f"experiment={experiment}"))
    model, data = instantiate(cfg.model, side=28, classes=10), instantiate(cfg.data)
    assert [str(layer) for layer in model.net] == [
        "Flatten(start_dim=1, end_dim=-1)",
        "Linear(in_features=784, out_features=512, bias=True)",
        "ReLU()",
        "Linear(in_features=512, out_features=10, bias=True)",
    ]
    assert sum(weight.numel() for weight in model.parameters()) == 407_050
    data.setup("fit")
    assert type(data) is MNISTDataModule
    assert len(data.train_dataloader().sampler) == 60_000
    expected, _ = idx.read(EMBEDDED, TRAIN)
    assert torch.equal(data.train[0], expected)
