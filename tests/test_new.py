"""A folder of one's own in one command."""

from pathlib import Path

import pytest

from support.commands import ROOT, finish, tool

FILES = ["cnn.py", "configs/data/shapes.yaml", "configs/experiment/shapes.yaml",
         "configs/model/cnn.yaml", "shapes.py", "test_own.py"]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder, and what the command prints."""
    folder = tmp_path_factory.mktemp("new") / "mine"
    code, out, err = tool("new", str(folder))
    assert (code, err) == (0, "")
    return folder, out


def test_it_writes_six_files_and_says_what_to_type(made: tuple[Path, str]) -> None:
    folder, out = made
    there = [path for path in folder.rglob("*") if path.suffix in (".py", ".yaml")]
    assert sorted(str(path.relative_to(folder)) for path in there) == FILES
    train = f"python {ROOT}/src/train.py --config-dir=configs"
    assert out.splitlines()[-4:] == [
        f"cd {folder}",
        f"{train} experiment=shapes",
        f"{train} -m experiment=shapes model.width=2,4,8 seed=0,1",
        "pytest",
    ]


def test_the_editor_knows_ones_own_settings(made: tuple[Path, str]) -> None:
    from commands.test_schemas import errors

    configs = made[0] / "configs"
    own = {"model": {"_target_": "cnn.CNN", "width": 8}, "data": {"_target_": "shapes.Shapes"}}
    assert errors(configs, "settings.json", own) == []
    assert errors(configs, "model.json", {"_target_": "cnn.CNN", "chanels": 8}) != []
    assert errors(configs, "model.json", {"_target_": "cnn.CNN", "width": "many"}) != []
    assert errors(configs, "settings.json", {"defaults": [{"override /data": "shapes"}]}) == []


def test_nothing_is_overwritten(made: tuple[Path, str]) -> None:
    folder = made[0]
    (folder / "cnn.py").write_text("mine")
    line = f"error: {folder}/cnn.py: is there already; expected a folder without it\n"
    assert tool("new", str(folder)) == (2, "", line)
    assert (folder / "cnn.py").read_text() == "mine"
    (folder / "cnn.py").write_text((ROOT / "templates" / "cnn.py").read_text())


def test_schemas_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    line = f"error: {tmp_path}/x: no such folder; expected one of YAML files, say configs\n"
    assert tool("new", "--schemas", f"{tmp_path}/x") == (2, "", line)


@pytest.mark.slow
def test_its_own_tests_pass(made: tuple[Path, str]) -> None:
    """Its commands are those of docs/your-own.md, which test_cli_your_own.py runs."""
    code, said, _ = finish("-m", "pytest", "-p", "no:cacheprovider", "-rs", cwd=made[0])
    assert code == 0, said
    assert "1 skipped" in said
