"""What is imported can't be undone in a process: each test has one of its own."""

from pathlib import Path

import pytest

from digits.files import ROOT
from support.commands import SHORT, python

NOT_USED = {"matplotlib", "scipy.signal", "sympy", "torch._dynamo", "torchvision", "triton"}
START = "from digits import imports\nimports.import_lightning()\n"


def printed(program: str) -> str:
    return python("-W", "error", "-c", START + program).stdout.strip()


PROBE = """
import sys
import lightning as L
class Probe(L.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2:  # the optimizer has been called
            print("imported", sorted(NOT_USED & sys.modules.keys()))
"""


def test_a_run_imports_nothing_that_its_first_steps_do_not_use(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(f"NOT_USED = {NOT_USED}\n{PROBE}")
    words = [*SHORT, f"paths.outputs_dir={tmp_path}/o", "+callbacks.probe._target_=probe.Probe"]
    done = python(ROOT / "src" / "train.py", *words, cwd=tmp_path)
    assert "imported []" in done.stdout


@pytest.mark.slow
def test_metrics_are_all_there_when_somebody_asks() -> None:
    program = """
import torchmetrics
before = torchmetrics.Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics import Accuracy, functional
import torchmetrics.image, torchmetrics.utilities.plot
assert torchmetrics.Metric is before and issubclass(MulticlassAccuracy, before)
assert torchmetrics.utilities.checks and torchmetrics.metric and torchmetrics.detection
print(torchmetrics.image.PeakSignalNoiseRatio.__name__, type(torchmetrics).__name__)
"""
    assert printed(program) == "PeakSignalNoiseRatio module"


@pytest.mark.slow
def test_a_metric_is_plotted() -> None:
    program = """
from torchmetrics import Metric
import torch
class Loss(Metric):
    def __init__(self):
        super().__init__()
        self.add_state("total", torch.tensor(0.0))
    def update(self, value):
        self.total += value
    def compute(self):
        return self.total
metric = Loss()
metric.update(torch.tensor(2.0))
figure, axes = metric._plot()
print(axes.get_lines()[0].get_ydata().tolist())
"""
    assert printed(program) == "[2.0]"


@pytest.mark.slow
def test_a_compiled_module_is_one_for_lightning() -> None:
    program = """
import torch
from lightning.fabric.wrappers import _unwrap_compiled
from lightning.pytorch.utilities.compile import from_compiled, to_uncompiled
import lightning as L
plain = L.LightningModule()
print(_unwrap_compiled(plain) == (plain, None), isinstance(plain, imports.Compiled))
compiled = torch.compile(plain, backend="eager")
print(_unwrap_compiled(compiled)[0] is plain, from_compiled(compiled) is plain)
print(isinstance(compiled, imports.Compiled), isinstance(plain, imports.Compiled))
"""
    assert printed(program) == "True False\nTrue True\nTrue False"


@pytest.mark.slow
def test_an_optimizer_is_kept_out_of_torch_compile_as_ever() -> None:
    program = """
import sys, torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.SGD([weight], lr=1.0)
optimizer.zero_grad()
print("torch._dynamo" in sys.modules)
import torch._dynamo
disabled = []
real = torch._dynamo.disable
torch._dynamo.disable = lambda fn, *a, **k: (disabled.append(fn.__name__), real(fn, *a, **k))[1]
optimizer.zero_grad()
optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
optimizer.zero_grad()
print(disabled)
"""
    assert printed(program) == "False\n['zero_grad', 'add_param_group']"


@pytest.mark.slow
def test_flops_are_counted() -> None:
    program = """
import torch, lightning as L
from lightning.pytorch.utilities.model_summary import ModelSummary
class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.example_input_array = torch.ones(5, 3)
    def forward(self, x):
        return self.layer(x)
print(ModelSummary(Model()).total_flops)
"""
    assert printed(program) == "60"  # 2 * 5 * 3 * 2


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["_import_some_metrics", "_let_optimizers_be"])
def test_lightning_is_imported_as_ever_where_something_has_changed(broken: str) -> None:
    program = f"""
import sys
from digits import imports
def fails(*_):
    import lightning
    raise ImportError("no such name")
imports.{broken} = fails
imports.import_lightning()
import lightning, torchmetrics, torch._dynamo
print(torchmetrics.Accuracy.__name__, issubclass(imports.Compiled, torch._dynamo.OptimizedModule))
from lightning.fabric import wrappers
print(wrappers.OptimizedModule is torch._dynamo.OptimizedModule)
"""
    assert python("-c", program).stdout == "Accuracy False\nTrue\n"


# fmt: off
PARTS = (
    "aggregation", "audio", "classification", "clustering", "collections", "detection",
    "functional", "image", "multimodal", "nominal", "regression", "retrieval", "segmentation",
    "shape", "text", "utilities", "video", "wrappers",
)
# fmt: on


@pytest.mark.slow
def test_each_part_of_torchmetrics_may_be_the_first() -> None:
    """Each in a process of its own, which has only what was imported before any."""
    program = f"""
import importlib, os
import torch  # once for all
def first(name):
    part = importlib.import_module(f"torchmetrics.{{name}}")
    import torchmetrics
    return getattr(torchmetrics, name) is part and torchmetrics.Accuracy.__name__ == "Accuracy"

for name in {PARTS}:
    child = os.fork()
    if not child:
        try:
            os._exit(0 if first(name) else 1)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        print(name)
print("all tried")
"""
    assert printed(program) == "all tried"
