import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from digits import text
from digits.commands import app, processes
from digits.errors import InputError, one_line
from digits.text import redacted, shown
from support.commands import EMBEDDED, command

SECRET = "hunter2/is  secret\n50%é"
ENTERS = "${oc.env:MY_TOKEN}"


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_secrets", {})
    monkeypatch.setenv("MY_TOKEN", SECRET)


def let_in(name: str = "MY_TOKEN") -> str:
    assert app.command  # importing it has made oc.env watched
    return OmegaConf.create({"x": f"${{oc.env:{name}}}"}).x


def written(folder: Path) -> str:
    """All names and bytes under a folder, as far as they are text."""
    paths = list(folder.rglob("*"))
    content = b"\n".join(path.read_bytes() for path in paths if path.is_file())
    return f"{paths} {content.decode(errors='replace')}"


@pytest.mark.parametrize(
    "override",
    [
        f"optimized_metric={ENTERS}",
        f"data.mirrors=['http://u:{ENTERS}@127.0.0.1:9/','file:///nowhere/{ENTERS}/']",
        f"model.optimizer._target_={ENTERS}",
    ],
)
def test_a_secret_is_neither_printed_nor_written(override: str, tmp_path: Path) -> None:
    outcome = command("train", override, f"paths.data_dir={tmp_path}/data", outputs=tmp_path)
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("\n") == 1
    assert ENTERS in outcome.err
    said = outcome.out + outcome.err + written(tmp_path)
    assert not any(part in said for part in ("hunter2", "  secret", "50%"))


def test_a_run_with_a_secret_in_its_settings_writes_where_it_came_from(tmp_path: Path) -> None:
    words = [
        f"data.mirrors=['file:///nowhere/{ENTERS}','{EMBEDDED.as_uri()}']",
        f"paths.data_dir={tmp_path}/data", f"+model.note='a {ENTERS} b'", "model.hidden_size=8",
        "model._target_=support.own.Noted", "trainer.max_epochs=1", "callbacks.samples=null",
        "trainer.limit_train_batches=3", "trainer.limit_test_batches=1",
    ]  # fmt: skip
    outcome = command("train", *words, outputs=tmp_path)
    assert outcome.code == 0, outcome.err
    assert "hunter2" not in outcome.out + outcome.err + written(outcome.folder)
    assert f"a {ENTERS} b" in written(outcome.folder / "tensorboard")
    assert ENTERS in (outcome.folder / ".hydra" / "overrides.yaml").read_text()


def test_it_is_known_however_it_is_written() -> None:
    let_in()
    for known in (
        SECRET,
        "hunter2%2Fis%20%20secret%0A50%25%C3%A9",  # in a URL
        "hunter2/is%20%20secret%0A50%25%C3%A9",  # in its path
        "hunter2/is  secret\\n50%é",  # in quotes
        "hunter2/is  secret\\n50%\\u00e9",  # in JSON
    ):
        assert redacted(f"<{known}>") == f"<{ENTERS}>"
    assert redacted("hunter2/is  secret 50%é") == f"{ENTERS} {ENTERS}"  # line by line


def test_names_that_sound_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hub_token", "A_SECRET", "DB_PASS", "DB_PWD", "API_KEY", "CREDENTIALS", "MY_AUTH"):
        monkeypatch.setenv(name, value := f"swordfish of {name}")
        assert let_in(name) == value
        assert redacted(f"a {value}!") == f"a ${{oc.env:{name}}}!"


def test_what_does_not_sound_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCRATCH", "PWD", "OLDPWD"):
        monkeypatch.setenv(name, "/scratch/me")
        assert let_in(name) == redacted("/scratch/me") == "/scratch/me"
    assert OmegaConf.create({"x": "${oc.env:NO_SUCH_TOKEN,7}"}).x == "7"


def test_lines_and_logs_are_redacted_whoever_writes_them(caplog: pytest.LogCaptureFixture) -> None:
    let_in()
    assert shown(f"a {SECRET}") == f"a {ENTERS}"
    assert one_line(InputError(f"x={SECRET}: no")) == f"x={ENTERS}: no"
    with caplog.at_level("INFO"):
        logging.getLogger("somebody").info("reading %s", {"url": SECRET})
    assert [record.getMessage() for record in caplog.records] == [f"reading {{'url': '{ENTERS}'}}"]


def test_other_processes_of_a_run_know_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task: Any = {}.pop  # raises KeyError, which has the settings
    monkeypatch.setenv("DIGITS_RUN_CONFIG", json.dumps({"x": SECRET}))
    monkeypatch.setenv("DIGITS_RUN_SECRETS", "MY_TOKEN")
    monkeypatch.setenv("DIGITS_RUN_PROCESS", "1")
    monkeypatch.setattr(processes, "end_with_parent", lambda _: None)  # pytest has another
    monkeypatch.setattr(logging, "disable", lambda _: None)
    with pytest.raises(SystemExit, match="1"):
        processes.join(task)
    err = capsys.readouterr().err
    assert "KeyError" in err
    assert ENTERS in err
    assert "hunter2" not in err


def test_a_run_tells_its_other_processes_what_is_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def look(*_: object) -> None:
        raise InputError(os.environ["DIGITS_RUN_SECRETS"])

    monkeypatch.setattr("digits.training.trainer.make_trainer", look)
    mirrors = f"data.mirrors=['http://u:{ENTERS}@127.0.0.1:9/']"
    outcome = command("train", mirrors, outputs=tmp_path)
    assert (outcome.code, outcome.err) == (2, "error: MY_TOKEN\n")
