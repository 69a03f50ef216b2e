from pathlib import Path

import pytest
from omegaconf import OmegaConf

from conftest import command
from digits import cli, redact

SECRET = "hunter2-is-secret"


@pytest.mark.parametrize(
    "override",
    [
        "seed=${oc.env:MY_TOKEN}",
        "optimized_metric=${oc.env:MY_TOKEN}",
        "trainer.strategy=${oc.env:MY_TOKEN}",
        "data.mirrors=['http://${oc.env:MY_TOKEN}@127.0.0.1:9/']",
        "model.optimizer._target_=${oc.env:MY_TOKEN}",
        "resume=${oc.env:MY_TOKEN}",
        "ckpt_path=${oc.env:MY_TOKEN}",
    ],
)
def test_a_secret_is_neither_printed_nor_written(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    outcome = command("train", override, f"paths.data_dir={tmp_path}/data", outputs=tmp_path)
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("\n") == 1
    assert "${oc.env:MY_TOKEN}" in outcome.err
    assert SECRET not in outcome.out + outcome.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_what_does_not_sound_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.ROOT  # importing it has made oc.env watched
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    assert OmegaConf.create({"x": "${oc.env:SCRATCH}"}).x == "/scratch/me"
    assert OmegaConf.create({"x": "${oc.env:NO_SUCH_TOKEN,7}"}).x == "7"
    assert redact.redacted("/scratch/me") == "/scratch/me"
