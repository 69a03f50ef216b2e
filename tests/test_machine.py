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


@pytest.mark.slow
def test_threads_flush_that_start_afterwards_and_numpy_says_nothing_of_it() -> None:
    """Half of a tensor is the second thread's, which has computed before in the second process."""
    program = f"""
import sys, warnings
import numpy, torch
from digits import machine
torch.set_num_threads(2)
{COUNT}
if sys.argv[1:]:
    kept()
machine.flush_denormals()
warnings.simplefilter("error")
print(kept(), numpy.finfo("float32").max > 0)
"""
    for words, expected in (([], "0 True\n"), (["late"], "524288 True\n")):
        done = python("-c", program, *words)
        assert (done.stdout, done.stderr) == (expected, "")


PROBE = f"""
import sys
import lightning as L
import torch
{COUNT}
class Probe(L.Callback):
    def on_train_start(self, trainer, pl_module):
        # at once: print writes the line's end alone, between two processes' words
        sys.stdout.write(f"rank {{trainer.global_rank}} keeps {{kept()}}\\n")

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2:  # the optimizer has been called
            print("imported", sorted(NOT_USED & sys.modules.keys()))
"""
NOT_USED = {"matplotlib", "scipy.signal", "sympy", "torch._dynamo", "torchvision", "triton"}


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_process_of_a_run_flushes_and_imports_nothing_that_its_steps_do_not_use(
    tmp_path: Path, processes: int
) -> None:
    (tmp_path / "probe.py").write_text(f"NOT_USED = {NOT_USED}\n{PROBE}")
    words = [
        "trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.limit_test_batches=1",
        "+callbacks.probe._target_=probe.Probe", f"paths.outputs_dir={tmp_path}/outputs",
        *(["trainer=ddp_sim", "trainer.oversubscribe=true"] if processes > 1 else []),
    ]  # fmt: skip
    done = python(ROOT / "src" / "train.py", *words, cwd=tmp_path)
    for rank in range(processes):
        assert f"rank {rank} keeps 0" in done.stdout
    assert processes > 1 or "imported []" in done.stdout
    assert "denormals" not in done.stderr
