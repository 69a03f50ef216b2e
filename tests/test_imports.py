"""What is imported can't be undone in a process: most tests have one of their own."""

import gc
import sys
from contextlib import suppress

import pytest

from digits.imports import importing
from support.commands import python

START = "from digits import imports\nimports.import_lightning()\n"


def printed(program: str) -> str:
    return python("-W", "error", "-c", START + program).stdout.strip()


@pytest.mark.slow
def test_all_is_there_when_somebody_asks() -> None:
    """An optimizer that is kept out of torch.compile, other metrics, their plots, a count of
    operations, torch.compile's modules.
    """
    program = """
import sys, torch
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
optimizer.zero_grad()
print("torch._dynamo" in sys.modules)
import torch._dynamo
disabled = []
real = torch._dynamo.disable
torch._dynamo.disable = lambda fn, *a, **k: (disabled.append(fn.__name__), real(fn, *a, **k))[1]
optimizer.zero_grad()
optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
optimizer.zero_grad()
torch._dynamo.disable = real
print(*disabled)

import lightning as L
import torchmetrics
before = torchmetrics.Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics import Accuracy, functional
import torchmetrics.image, torchmetrics.utilities.plot
assert torchmetrics.Metric is before and issubclass(MulticlassAccuracy, before)
assert torchmetrics.utilities.checks and torchmetrics.metric and torchmetrics.detection
print(torchmetrics.image.PeakSignalNoiseRatio.__name__, type(torchmetrics).__name__)

metric = torchmetrics.MeanMetric()
metric.update(torch.tensor(2.0))
_, axes = metric._plot()
print(axes.get_lines()[0].get_ydata().tolist())

from lightning.pytorch.utilities.model_summary import ModelSummary
class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.example_input_array = torch.ones(5, 3)
    def forward(self, x):
        return self.layer(x)
print(ModelSummary(Model()).total_flops)

from lightning.fabric.wrappers import _unwrap_compiled
from lightning.pytorch.utilities.compile import from_compiled
plain = L.LightningModule()
assert _unwrap_compiled(plain) == (plain, None)
compiled = torch.compile(plain, backend="eager")
print(_unwrap_compiled(compiled)[0] is plain, from_compiled(compiled) is plain)
"""
    assert printed(program).splitlines() == [
        "False", "zero_grad add_param_group",
        "PeakSignalNoiseRatio module", "[2.0]", "60", "True True",  # 2 * 5 * 3 * 2
    ]  # fmt: skip


@pytest.mark.slow
def test_lightning_is_imported_as_ever_where_something_has_changed() -> None:
    program = """
from digits import imports
def fails(*_):
    import lightning
    raise ImportError("no such name")
imports._let_optimizers_be = fails
imports.import_lightning()
import lightning, torchmetrics, torch._dynamo
print(torchmetrics.Accuracy.__name__)
from lightning.fabric import wrappers
print(wrappers.OptimizedModule is torch._dynamo.OptimizedModule)
"""
    assert python("-c", program).stdout == "Accuracy\nTrue\n"


def test_the_garbage_collector_goes_on_after_an_import_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    was_on: list[bool] = []
    with suppress(ImportError), importing():
        was_on.append(gc.isenabled())
        raise ImportError("no such library")
    assert (was_on, gc.isenabled()) == ([False], True)
