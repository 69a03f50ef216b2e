"""The package installed as a wheel, used in a folder of somebody's own, without the repository."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from support import your_own
from support.commands import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = [
    "digits-train",
    "digits-eval",
    "digits-predict",
    "digits-serve",
    "digits-export",
    "digits-leaderboard",
    "digits-report",
    "digits-new",
]
SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=20")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel installs, and its commands, in a folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves things beside what it builds
    for name in ("configs", "data", "docs/drawings", "src", "templates"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta as b; b.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def run(site: Path, here: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """An installed command, as the script that pip makes of its entry point, in `here`."""
    module, _, function = SETTINGS["project"]["scripts"][name].partition(":")
    script = site.parent / name
    script.write_text(f"from {module} import {function}\n{function}()\n")
    env = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, str(script), *words], cwd=here, env=env, capture_output=True, text=True
    )


def test_the_commands_and_packages_are_all_there(site: Path) -> None:
    assert list(SETTINGS["project"]["scripts"]) == COMMANDS
    packages = {p.parent.relative_to(ROOT / "src") for p in (ROOT / "src").rglob("__init__.py")}
    names = {path.as_posix().replace("/", ".") for path in packages}
    more = {
        "digits.configs",
        "digits.drawings",
        "digits.embedded",
        "digits.scripts",
        "digits.templates",
        "hydra_plugins",
    }
    assert set(SETTINGS["tool"]["setuptools"]["packages"]) == names | more
    configs = sorted(p.relative_to(ROOT / "configs") for p in (ROOT / "configs").rglob("*.yaml"))
    there = site / "digits" / "configs"
    assert sorted(path.relative_to(there) for path in there.rglob("*.yaml")) == configs
    drawings = {path.name for path in (ROOT / "docs" / "drawings").iterdir()}
    assert {path.name for path in (site / "digits" / "drawings").iterdir()} == drawings


@pytest.mark.slow
def test_it_trains_and_predicts_with_models_of_ones_own_wherever_one_is(
    site: Path, tmp_path: Path
) -> None:
    your_own.write(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    asked = run(site, tmp_path, "digits-train", "--help")
    assert asked.stdout.startswith("digits-train [SETTING=VALUE ...]\n")
    assert "  digits-eval ckpt_path=latest\n" in asked.stdout
    assert {path.name for path in tmp_path.iterdir()} == before
    own = "--config-dir=configs"
    trained = run(site, tmp_path, "digits-train", own, "model=cnn", *SHORT)
    assert (trained.returncode, trained.stderr) == (0, "")
    (last,) = tmp_path.glob("outputs/train/*/checkpoints/last.ckpt")
    assert f"checkpoint     {last.relative_to(tmp_path)}\n" in trained.stdout
    read = run(site, tmp_path, "digits-predict", own, "photo.jpg", "--ckpt", "latest")
    assert (read.returncode, read.stderr) == (0, "")
    assert read.stdout.splitlines()[-1].startswith(f"model {last.relative_to(tmp_path)}")
    sweep = (own, "-m", "experiment=shapes", "model.width=2,4", "trainer.max_epochs=1")
    swept = run(site, tmp_path, "digits-train", *sweep)
    assert (swept.returncode, swept.stderr) == (0, "")


def test_without_a_run_it_names_its_own_command(site: Path, tmp_path: Path) -> None:
    read = run(site, tmp_path, "digits-predict", "photo.jpg", "--ckpt", "latest")
    assert read.returncode == 2
    assert read.stderr.endswith("outputs has a checkpoint yet; digits-train trains one\n")


@pytest.mark.slow
def test_a_folder_of_ones_own(site: Path, tmp_path: Path) -> None:
    outcome = run(site, tmp_path, "digits-new", "mine")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "cd mine\ndigits-train --config-dir=configs experiment=shapes\n" in outcome.stdout
    assert (tmp_path / "mine" / "configs" / "experiment" / "shapes.yaml").is_file()
