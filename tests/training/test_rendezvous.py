"""The processes of a run find each other, or say that they did not."""

import os
import signal
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest

from digits.training import rendezvous
from support.commands import command, finish, process


@pytest.fixture
def launched() -> dict[str, str]:
    """What torchrun tells the first of two processes, whose second never comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "x"}
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0", "WORLD_SIZE": "2"}
    return here | ranks | {"LOCAL_WORLD_SIZE": "2"}


def test_a_run_whose_others_do_not_come_gives_up(
    launched: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rendezvous.STRATEGIES, "ddp", {"timeout": timedelta(seconds=0.2)})
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    outcome = command("train", "trainer=ddp_sim", outputs=tmp_path)
    assert outcome.code == 2
    line = (
        "error: trainer.num_nodes=1: some of the run's processes did not come to "
        f"127.0.0.1:{launched['MASTER_PORT']}; expected 2 ("
    )
    assert outcome.err.startswith(line)
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_waits_for_others_hears_a_signal(
    launched: dict[str, str], tmp_path: Path
) -> None:
    words = ["trainer=ddp_sim", f"paths.outputs_dir={tmp_path}"]
    with process("src/train.py", *words, env=os.environ | launched) as run:
        port = int(launched["MASTER_PORT"])
        while run.poll() is None:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, "stopped; nothing was saved yet\n")


def test_a_process_of_a_run_whose_first_has_gone_ends() -> None:
    joins = {"LOCAL_RANK": "1", "DIGITS_RUN_CONFIG": "{}", "DIGITS_RUN_PROCESS": "1"}
    code, out, err = finish("src/train.py", env=os.environ | joins)
    assert (code, out, err) == (-signal.SIGKILL, "", "")
