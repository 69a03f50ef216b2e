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


@pytest.mark.parametrize("devices", [1, 4, "4", " 2", "auto"])
def test_as_many_as_there_are_cores(devices: object) -> None:
    processes.check(run(trainer__devices=devices))


@pytest.mark.parametrize("devices", [0, -3, "x", 1.5, None, True, [0, 1], "0,x", {"a": 1}])
def test_what_lightning_refuses_itself_counts_as_one(devices: object) -> None:
    processes.check(run(trainer__devices=devices, data__batch_size=1))


def test_more_than_cores_where_that_is_wanted() -> None:
    processes.check(run(trainer__devices=6, trainer__oversubscribe=True))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"devices": "5"}, "trainer.devices=5: more processes than this machine's 4 cores; "
         "expected 4 at most, or trainer.oversubscribe=true too"),
        ({"devices": 99, "accelerator": "auto"}, "trainer.devices=99: more processes than this"),
        ({"num_nodes": 2}, "trainer.num_nodes=2: nobody starts the other nodes' processes; "
         "expected to be started by torchrun or srun, on each node"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_started_is_named(
    changes: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_gpus", dict)
    with pytest.raises(InputError) as caught:
        processes.check(run(**{f"trainer__{key}": value for key, value in changes.items()}))
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("devices", "count"), [("-1", 8), ("auto", 8), (6, 6), ([0, 7], 2), ("0,1,2", 3)]
)
def test_gpus_are_counted(devices: object, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_gpus", lambda: {"cuda": 8})
    gpus = {"trainer__accelerator": "auto", "trainer__devices": devices}
    processes.check(run(**gpus, data__batch_size=count * 7))
    with pytest.raises(InputError, match=f"batch_size=1: {count} processes share each batch"):
        processes.check(run(**gpus, data__batch_size=1))


@pytest.mark.parametrize(("name", "there_are"), [("gpu", {}), ("mps", {"cuda": 1})])
def test_an_accelerator_that_is_not_there(
    name: str, there_are: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_gpus", lambda: there_are)
    line = f"trainer.accelerator={name}: torch finds none here; expected one of auto, cpu"
    with pytest.raises(InputError) as caught:
        processes.check(run(trainer__accelerator=name, trainer__devices=-1))
    assert str(caught.value) == line + "".join(f", {kind}" for kind in there_are)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"batch_size": 127}, "data.batch_size=127: 2 processes share each batch: expected a mult"),
        ({"val_size": 1}, "data.val_size=1: 2 processes share it: expected at least 2"),
    ],
    ids=str,
)
def test_the_work_can_be_shared(changes: dict[str, int], line: str) -> None:
    cfg = run(trainer__devices=2, **{f"data__{key}": value for key, value in changes.items()})
    with pytest.raises(InputError) as caught:
        processes.check(cfg)
    assert str(caught.value).startswith(line)
    cfg.train = False
    processes.check(cfg)  # a test has 10,000 images


@pytest.mark.parametrize("launched", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_a_launcher_has_started_them(
    launched: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)  # srun may give each process one
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    processes.check(run(trainer__devices=2))
    processes.check(run(trainer__num_nodes=2))
    with pytest.raises(InputError, match=r"devices=2 trainer\.num_nodes=2: 4 processes, but the l"):
        processes.check(run(trainer__devices=2, trainer__num_nodes=2))


def test_a_single_run_in_a_job_of_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SRUN | {"SLURM_PROCID": "0"}).items():
        monkeypatch.setenv(name, value)
    processes.check(run())  # sbatch's script has called python, without srun
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(InputError, match="1 processes, but the launcher has started 2"):
        processes.check(run())


def test_a_shell_within_slurm_launches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SRUN | {"SLURM_JOB_NAME": "interactive"}).items():
        monkeypatch.setenv(name, value)
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
