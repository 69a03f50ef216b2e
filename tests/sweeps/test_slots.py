"""How a machine is divided among jobs."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from digits.errors import InputError
from digits.sweeps import pool
from digits.sweeps.pool import Slots
from support.commands import python

CPU = [
    # cores, trainer.devices, asked, jobs: at once, threads of each process
    (2, 1, None, 12, (2, 1)),
    (8, 1, None, 12, (8, 1)),
    (8, 1, None, 3, (3, 2)),
    (8, 1, 2, 12, (2, 4)),
    (8, 2, None, 12, (4, 1)),
    (8, 3, None, None, (2, 1)),
    (2, 2, None, 12, (1, 1)),
    (1, 1, None, 12, (1, 1)),
    (8, "auto", None, 12, (1, 8)),
]


@pytest.mark.parametrize(("cores", "devices", "asked", "jobs", "expected"), CPU)
def test_cores_are_divided(
    cores: int, devices: object, asked: int | None, jobs: int | None, expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pool, "cores", lambda: cores)
    trainer = OmegaConf.create({"accelerator": "cpu", "devices": devices})
    assert pool.divide(trainer, asked, jobs) == Slots(*expected)


def test_gpus_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,5,7")
    trainer = OmegaConf.create({"accelerator": "auto", "devices": 1})
    four = pool.divide(trainer, None, 12)
    assert (four.count, four.threads) == (4, 4)
    assert [four.environment(i) for i in range(4)] == [
        {"CUDA_VISIBLE_DEVICES": name} for name in ("0", "1", "5", "7")
    ]
    trainer.devices = 2
    two = pool.divide(trainer, None, 12)
    assert [two.environment(i)["CUDA_VISIBLE_DEVICES"] for i in range(two.count)] == ["0,1", "5,7"]
    trainer.devices = 1
    eight = pool.divide(trainer, 8, 12)  # two jobs a GPU
    assert [eight.devices[i] for i in range(8)] == 2 * [("0",), ("1",), ("5",), ("7",)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert pool.divide(trainer, None, 99) == Slots(16, 1)


def test_gpus_are_counted_without_torch(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0; echo 1\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert pool.gpus() == ["0", "1"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert pool.gpus() == []


@pytest.mark.parametrize("asked", [0, -1, 3, 99, "two", 1.5, True])
def test_no_slip_starts_a_hundred_processes(asked: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cores", lambda: 2)
    trainer = OmegaConf.create({"accelerator": "cpu", "devices": 1})
    with pytest.raises(InputError) as refused:
        pool.divide(trainer, asked, 12)  # type: ignore[arg-type]
    expected = f"hydra.launcher.jobs={asked}: expected a whole number from 1 to 2"
    assert str(refused.value) == expected


def test_no_signal_reaches_the_server_before_it_can_hear_it(tmp_path: Path) -> None:
    """Ctrl+C would end Python's own start in it with a traceback."""
    preloaded, told = tmp_path / "preloaded_here.py", tmp_path / "told"
    preloaded.write_text(
        "import signal\n"
        "held = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        f"print(*sorted(map(int, held)), file=open({str(told)!r}, 'w'))\n"
    )
    made = (
        "import os, time\n"
        f"os.environ['PYTHONPATH'] += os.pathsep + {str(tmp_path)!r}\n"
        "from digits.sweeps import pool\n"
        "pool.PRELOADED = 'preloaded_here'\n"
        "pool.Forks(1, lambda job, slot: job)\n"
        f"told = {str(told)!r}\n"
        "while not (os.path.exists(told) and os.path.getsize(told)): time.sleep(0.01)\n"
    )
    python("-c", made)
    assert told.read_text().split() == ["2", "10", "15"]  # SIGINT, SIGUSR1, SIGTERM
