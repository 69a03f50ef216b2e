"""What is taken over of a run's record, which anyone may have written."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from digits.errors import InputError
from digits.runs import recorded as record
from digits.runs.folder import RunFolder


def words(run: RunFolder) -> list[str]:
    return record.words_of_groups(run, ("model", "data"))


def recorded(folder: Path, config: Any, choices: Any) -> RunFolder:
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    hydra = {"hydra": {"runtime": {"choices": choices}}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(hydra))
    return RunFolder(folder)


def test_groups_by_name_and_plain_values(tmp_path: Path) -> None:
    model = {
        "_target_": "cnn.CNN",
        "channels": 8,
        "dropout": 0.25,
        "bias": False,
        "note": "it's",
        "none": None,
        "sizes": [1, 2],
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
    }
    choices = {"model": "cnn", "model/optimizer": "adam", "data": "mnist", "trainer": "ddp"}
    assert words(recorded(tmp_path, {"model": model, "seed": 3}, choices)) == [
        "data=mnist",
        "model=cnn",
        "model/optimizer=adam",
        "++model.bias=false",
        "++model.channels=8",
        "++model.dropout=0.25",
        "++model.none=null",
        r"++model.note='it\'s'",
        "++model.optimizer.lr=0.001",
        "++model.sizes=[1,2]",
    ]


@pytest.mark.parametrize(
    ("config", "choices"),
    [
        ({"model": {"_target_": "os.system", "_args_": ["x"]}}, {}),
        ({"model": {"x": "${new_folder:/tmp,x}"}}, {}),
        ({"model": {"save_path": "/etc/passwd", "dir": {"x": 1}}}, {}),
        ({"model": {"a=1 hydra.run.dir": "/etc"}}, {}),
        ({"model": {"x": [{"_target_": "os.system"}]}}, {}),
        ({"trainer": {"devices": 99}, "hydra": {"run": {"dir": "x"}}}, {}),
        ({}, {"model": "../../evil", "data": "a b"}),
        ({}, {"trainer": "ddp", "hydra/launcher": "evil", "model.x": 1}),
        ({}, ["model"]),
        ("x", "x"),
    ],
    ids=str,
)
def test_nothing_else_is_taken(config: Any, choices: Any, tmp_path: Path) -> None:
    assert words(RunFolder(tmp_path)) == []
    assert words(recorded(tmp_path, config, choices)) == []


def test_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    run = recorded(tmp_path, {}, {})
    for text in ("a: [", "\0", "model: &a {x: *a}", "x" * 70_000):
        run.config.write_text(text)
        with pytest.raises(InputError, match=r"config\.yaml: no run's settings, or damaged"):
            words(run)
