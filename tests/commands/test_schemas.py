"""What an editor is told of the settings: it accepts every file of configs/, and finds slips."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from digits.commands import schemas
from support.commands import ROOT

CONFIGS = ROOT / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
WRITTEN = {path.name: json.loads(path.read_text()) for path in CONFIGS.glob("schemas/*.json")}


def errors(folder: Path, name: str, content: Any) -> list[str]:
    texts = {path.name: path.read_text() for path in (folder / "schemas").glob("*.json")}
    found = [(each, Resource.from_contents(json.loads(text))) for each, text in texts.items()]
    check = jsonschema.Draft7Validator(
        json.loads(texts[name]), registry=Registry().with_resources(found)
    )
    return [error.message for error in check.iter_errors(content)]


def named_by(path: Path) -> Path:
    """The schema that the line of the editor names, seen from the file."""
    (named,) = re.findall(
        r"^(?:# @package .*\n)?# yaml-language-server: \$schema=(.+)$", path.read_text(), re.M
    )
    return (path.parent / named).resolve()


def test_every_file_of_configs_is_accepted_by_the_schema_that_it_names() -> None:
    for path in FILES:
        schema = named_by(path)
        assert schema.parent == CONFIGS / "schemas"
        assert errors(CONFIGS, schema.name, yaml.safe_load(path.read_text()) or {}) == [], path


@pytest.mark.parametrize(
    "slip",
    [
        {"sed": 1},
        {"seed": "one"},
        {"trainer": {"max_epochs": "three"}},
        {"data": {"batch_size": 0}},
        {"model": {"optimizer": {"alpha": 1.5}}},
        {"callbacks": {"early_stopping": {"patience": "long"}}},
        {"defaults": [{"override /model": "mpl"}]},
        {"defaults": [{"override /modl": "mlp"}]},
    ],
    ids=str,
)
def test_a_slip_is_found(slip: dict[str, Any]) -> None:
    assert errors(CONFIGS, "settings.json", slip) != []


def test_hydras_own_words_are_accepted() -> None:
    written = {
        "defaults": ["_self_", {"override /model": "mlp"}, {"override hydra/launcher": "basic"}],
        "seed": "${oc.env:SEED}",
        "data": {"batch_size": "???", "val_size": "${data.batch_size}"},
        "model": {"_target_": "mine.Net", "anything": 1, "optimizer": {"_partial_": True}},
        "callbacks": {"mine": {"_target_": "mine.Callback", "every": 2}, "report": None},
        "trainer": {"max_time": {"minutes": 10}, "max_epochs": -1},
    }
    assert errors(CONFIGS, "settings.json", written) == []


def test_types_descriptions_and_options_stand_in_them() -> None:
    assert WRITTEN["data.json"]["properties"]["_target_"]["examples"] == [
        "digits.data.datamodule.MNISTDataModule",
        "digits.data.image_folder.FolderDataModule",
    ]
    (mnist, *_) = WRITTEN["data.json"]["allOf"]
    assert mnist["then"]["description"].startswith("MNIST, H = W = 28")
    size = mnist["then"]["properties"]["batch_size"]
    assert size["description"] == "images of one optimizer step, over all processes"
    assert size["anyOf"][0] == {"exclusiveMinimum": 0, "type": ["integer"]}
    (trainer, _) = WRITTEN["trainer.json"]["allOf"]
    clip = trainer["then"]["properties"]["gradient_clip_val"]
    assert clip["description"].startswith("The value at which to clip gradients.")
    options = WRITTEN["settings.json"]["definitions"]["defaults"]["items"]["anyOf"][1]
    assert options["properties"]["override /model/optimizer"]["anyOf"][0]["enum"] == [
        None, "adam", "adamw", "rmsprop", "sgd"
    ]  # fmt: skip


def test_they_are_not_stale() -> None:
    """Of another version of torch or Lightning, the project's own classes count alone."""
    made = {schemas.name_of(at): schema for at, schema in schemas.of(CONFIGS).items()}
    same = WRITTEN["settings.json"]["$comment"] == schemas.MADE_BY
    assert made.keys() == WRITTEN.keys()
    for name in made if same else ("data.json", "settings.json"):
        now, then = (
            json.loads(json.dumps(each[name])) | {"$comment": ""} for each in (made, WRITTEN)
        )
        assert now == then, "stale: python src/new.py --schemas configs makes them anew"
