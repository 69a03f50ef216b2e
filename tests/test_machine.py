"""Whether denormals are flushed can't be undone in a process: each test has one of its own."""

from pathlib import Path

import pytest

from digits.files import ROOT
from support.commands import python

COUNT = """
def kept():
    denormals = torch.full((1 << 20,), 1, dtype=torch.int32).view(torch.float32)
    return int((denormals * 1).view(torch.int32).count_nonzero())
"""


def printed(program: str) -> str:
    done = python("-c", program)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("before", "expected"), [("", "0"), ("kept()", "524288")], ids=["first", "late"]
)
def test_threads_flush_that_start_afterwards(before: str, expected: str) -> None:
    """Half of a tensor is the second thread's."""
    program = f"""
import torch
from digits import machine
torch.set_num_threads(2)
{COUNT}
{before}
machine.flush_denormals()
print(kept())
"""
    assert printed(program) == expected


def test_numpy_says_nothing_of_it_afterwards() -> None:
    program = """
import warnings
import numpy, torch
from digits import machine
machine.flush_denormals()
warnings.simplefilter("error")
print(numpy.finfo("float32").max > 0, numpy.finfo("float64").max > 0)
"""
    assert printed(program) == "True True"


PROBE = f"""
import lightning as L
import torch
{COUNT}
class Probe(L.Callback):
    def on_train_start(self, trainer, pl_module):
        print("rank", trainer.global_rank, "keeps", kept())
"""


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_process_of_a_run_flushes(tmp_path: Path, processes: int) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    words = [
        "trainer.fast_dev_run=true",
        "logger=none",
        f"paths.outputs_dir={tmp_path}/outputs",
        "+callbacks.probe._target_=probe.Probe",
        *(["trainer=ddp_sim", "trainer.oversubscribe=true"] if processes > 1 else []),
    ]
    done = python(ROOT / "src" / "train.py", *words, cwd=tmp_path)
    for rank in range(processes):
        assert f"rank {rank} keeps 0" in done.stdout
    assert "denormals" not in done.stderr
