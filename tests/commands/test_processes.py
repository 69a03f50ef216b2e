"""How many processes a run may have is settled before one is started."""

import subprocess
from importlib import import_module
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from digits.commands import processes
from digits.errors import InputError
from support.commands import command

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
SRUN = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_NAME": "train"}


def run(**changes: Any) -> DictConfig:
    trainer = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "oversubscribe": False}
    data = {"batch_size": 120, "val_size": 0}
    cfg = OmegaConf.create({"train": True, "data": data, "trainer": trainer})
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 4)
    for name in (*TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)


def test_as_many_as_there_are_cores_and_what_lightning_refuses_itself_counts_as_one() -> None:
    for devices in (1, 4, " 2", "auto"):
        processes.check(run(trainer__devices=devices))
    processes.check(run(trainer__devices=6, trainer__oversubscribe=True))
    for devices in (0, -3, "x", 1.5, None, True, [0, 1], "0,x", {"a": 1}):
        processes.check(run(trainer__devices=devices, data__batch_size=1))


CORES = "more processes than this machine's 4 cores; expected 4 at most, or"
REFUSED = [
    ({"trainer__devices": "5"}, f"trainer.devices=5: {CORES} trainer.oversubscribe=true too"),
    ({"trainer__devices": 99, "trainer__accelerator": "auto"}, f"trainer.devices=99: {CORES}"),
    ({"trainer__num_nodes": 2}, "trainer.num_nodes=2: nobody starts the other nodes' processes; "
     "expected to be started by torchrun or srun, on each node"),
    ({"trainer__devices": 2, "data__batch_size": 127},
     "data.batch_size=127: 2 processes share each batch: expected a multiple of 2"),
    ({"trainer__devices": 2, "data__val_size": 1},
     "data.val_size=1: 2 processes share it: expected at least 2"),
    ({"data": {"val_size": 9, "folds": 5, "fold": 0, "batch_size": 120}},
     "data.val_size=9: with data.folds=5 a fold is held out; expected 0"),
    ({"data": {"val_size": 0, "folds": None, "fold": 3, "batch_size": 120}},
     "data.folds=null data.fold=3: expected two numbers, the second from 0 to below the first"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), REFUSED, ids=str)
def test_what_cannot_be_started_or_shared_is_named(
    changes: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_gpus", dict)
    with pytest.raises(InputError) as caught:
        processes.check(run(**changes))
    assert str(caught.value).startswith(line)
    if line.startswith("data"):
        processes.check(run(train=False, **changes))  # a test has 10,000 images


def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_gpus", lambda: {"cuda": 8})
    for devices, count in (("-1", 8), ("auto", 8), (6, 6), ([0, 7], 2), ("0,1,2", 3)):
        gpus = {"trainer__accelerator": "auto", "trainer__devices": devices}
        processes.check(run(**gpus, data__batch_size=count * 7))
        with pytest.raises(InputError, match=f"batch_size=1: {count} processes share each batch"):
            processes.check(run(**gpus, data__batch_size=1))


def test_an_accelerator_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_gpus", lambda: {"cuda": 1})
    line = "trainer.accelerator=mps: torch finds none here; expected one of auto, cpu, cuda"
    with pytest.raises(InputError, match=line):
        processes.check(run(trainer__accelerator="mps", trainer__devices=-1))


def test_a_launcher_has_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)  # srun may give each process one
    for launched in (TORCHRUN, SRUN):
        with pytest.MonkeyPatch.context() as environment:
            for name, value in launched.items():
                environment.setenv(name, value)
            processes.check(run(trainer__devices=2))
            processes.check(run(trainer__num_nodes=2))
            both = {"trainer__devices": 2, "trainer__num_nodes": 2}
            with pytest.raises(InputError, match=r"num_nodes=2: 4 processes, but the l"):
                processes.check(run(**both))


def test_a_single_run_in_a_job_of_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SRUN | {"SLURM_PROCID": "0"}).items():
        monkeypatch.setenv(name, value)
    processes.check(run())  # sbatch's script has called python, without srun
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(InputError, match="1 processes, but the launcher has started 2"):
        processes.check(run())
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")  # a shell launches nothing
    with pytest.raises(InputError, match="nobody starts the other nodes' processes"):
        processes.check(run(trainer__num_nodes=2))


def test_nothing_is_started_or_made_before(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("torch")  # which starts ldconfig
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process is started"))
    outcome = command("train", "trainer=ddp_sim", "trainer.devices=99", outputs=tmp_path)
    assert outcome.code == 2
    line = "error: trainer.devices=99: more processes than this machine's 4 cores"
    assert outcome.err.startswith(line)
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.glob("train/*")) == []
