"""Jobs that a launcher runs in processes of its own have all that jobs here have."""

from pathlib import Path

import pytest

from digits.runs.folder import RunFolder
from support import elsewhere
from support.commands import UNSEEN, command

QUICK = (
    "trainer.max_epochs=1", "trainer.limit_train_batches=3", "trainer.limit_test_batches=1",
    "model.hidden_size=2", *UNSEEN, "logger=csv",
)  # fmt: skip


@pytest.fixture(autouse=True)
def launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "ENDED", [])
    monkeypatch.setattr(elsewhere, "TERMINATE_AT", None)


def test_a_job_elsewhere_fails_as_one_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    secret = "data.mirrors=['http://u:${oc.env:MY_TOKEN}@127.0.0.1:9/']"
    given = ["-m", "hydra/launcher=elsewhere", "model.hidden_size=2,-1", secret, *QUICK[:3]]
    outcome = command("train", *given, *QUICK[4:], outputs=tmp_path)
    _, second = elsewhere.ENDED
    line = "model.hidden_size=-1: expected a whole number from 1 to 65536"
    assert outcome.code == 2
    assert outcome.err == ""  # the job has said it
    assert second[2].startswith("error: job 1 (")
    assert second[2].endswith(f"): {line}\n")
    assert "hunter2" not in str(elsewhere.ENDED)
    folders = [RunFolder(path.parent) for path in sorted(tmp_path.rglob("status.json"))]
    assert [run.status().status for run in folders] == ["finished", "failed"]
    assert folders[1].status().error == line
    assert folders[0].measured()["epochs"] == 1
    assert len(list((tmp_path / "multirun").iterdir())) == 1


@pytest.mark.slow
def test_a_job_elsewhere_hears_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "TERMINATE_AT", "checkpoints/last.ckpt")
    given = ["-m", "hydra/launcher=elsewhere", "seed=1", "trainer.max_epochs=99", *QUICK[1:]]
    command("train", *given, outputs=tmp_path)
    ((code, _, err),) = elsewhere.ENDED
    assert code == 143
    (path,) = tmp_path.rglob("status.json")
    assert err == f"stopped; go on with resume={path.parent}\n"
    assert RunFolder(path.parent).status().status == "stopped"
