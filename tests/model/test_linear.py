from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.compile import from_compiled
from torch import Tensor, nn

from digits import machine
from digits.model import linear
from digits.model.classifier import DigitClassifier
from digits.model.linear import Linear, bits_ignore_threads, matmuls, use_matmuls
from digits.model.network import network

CPUINFO = "processor\t: 0\nvendor_id\t: {}\ncpu family\t: 25\n"
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch without oneDNN"
)


def pair() -> tuple[nn.Linear, Linear]:
    torch.manual_seed(0)
    theirs, ours = nn.Linear(784, 512), Linear(784, 512)
    ours.load_state_dict(theirs.state_dict())
    ours.matmul = "onednn"
    return theirs, ours


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What the machine has told is remembered."""
    yield
    machine.cpu_maker.cache_clear()
    linear.has_onednn.cache_clear()


def on(maker: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the reference's network uses on a CPU of `maker`."""
    (folder / "cpuinfo").write_text(CPUINFO.format(maker))
    monkeypatch.setattr(machine, "CPUINFO", folder / "cpuinfo")
    machine.cpu_maker.cache_clear()
    return matmuls(network(512))


@needs_onednn
@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        ("AuthenticAMD", {"1": "onednn", "3": "onednn"}),
        ("GenuineIntel", {"1": "torch", "3": "onednn"}),
        ("CentaurHauls", {"1": "torch", "3": "torch"}),
    ],
)
def test_products_are_those_that_suit_the_cpu_and_the_shape(
    maker: str, expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on(maker, tmp_path, monkeypatch) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("Intel64 Family 6 Model 143 Stepping 8, GenuineIntel", "GenuineIntel"),
        ("arm", ""),
    ],
)
def test_maker_where_there_is_no_proc(
    told: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr("platform.processor", lambda: told)
    machine.cpu_maker.cache_clear()
    assert machine.cpu_maker() == expected


def test_arm_tells_no_maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    machine.cpu_maker.cache_clear()
    assert machine.cpu_maker() == ""


@pytest.mark.parametrize("operator", ["gone", "other arguments", "other result"])
def test_an_operator_that_has_changed_is_not_used(
    operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*arguments: Any) -> Tensor:
        if operator == "other arguments":
            raise RuntimeError("mkldnn::_linear_pointwise() expected at most 4 argument(s)")
        return F.linear(*arguments[:2])  # it forgets the bias

    operators = SimpleNamespace(**({} if operator == "gone" else {"_linear_pointwise": changed}))
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    linear.has_onednn.cache_clear()
    assert on("AuthenticAMD", tmp_path, monkeypatch) == {"1": "torch", "3": "torch"}
    layer = network(512)
    use_matmuls(layer, {"1": "onednn", "3": "onednn"})
    assert matmuls(layer) == {"1": "torch", "3": "torch"}
    assert layer(torch.rand(2, 28, 28)).shape == (2, 10)


@needs_onednn
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({"1": "torch", "3": "onednn"}, {"1": "torch", "3": "onednn"}),
        (None, {"1": "onednn", "3": "onednn"}),  # of a time before there was a choice
    ],
    ids=["chosen", "old"],
)
def test_a_run_goes_on_with_its_products(
    before: dict[str, str] | None, expected: dict[str, str]
) -> None:
    layers = network(512)
    for layer in (layers[1], layers[3]):
        layer.matmul = "torch"  # type: ignore[assignment]
    use_matmuls(layers, before)
    assert matmuls(layers) == expected


def test_torchs_products_are_torchs_bits() -> None:
    theirs, ours = pair()
    ours.matmul = "torch"
    x = torch.rand(128, 784)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("batch_size", [1, 96, 128])
def test_products_and_gradients_are_those_of_torch(batch_size: int) -> None:
    x = torch.rand(batch_size, 784, requires_grad=True)
    results: list[list[Tensor]] = []
    for layer in pair():
        y = layer(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), (x, *layer.parameters()))])
    for expected, found in zip(*results, strict=True):
        # sums of 784 float32 products (batch_size of them for the weight's gradient) in another
        # order: rounding grows with their square root, 28 * 6e-8
        scale = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=0, atol=4e-6 * scale)


@needs_onednn
def test_products_are_onednns() -> None:
    with torch.profiler.profile() as profile:
        pair()[1](torch.rand(2, 784)).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert "mkldnn::_linear_pointwise" in names
    assert not names & {"aten::addmm", "aten::mm"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype) -> None:
    theirs, ours = (layer.to(dtype) for layer in pair())
    x = torch.rand(3, 784, dtype=dtype)
    assert torch.equal(ours(x), theirs(x))


def test_a_layer_without_bias_and_a_frozen_one() -> None:
    x = torch.rand(3, 4)
    layer = Linear(4, 2, bias=False)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum(0).expand(2, 4))
    frozen = Linear(4, 2)
    frozen.weight.requires_grad_(False)
    frozen(x).sum().backward()
    assert frozen.weight.grad is None
    assert frozen.bias.grad.tolist() == [3, 3]


def test_a_second_derivative_is_refused_not_wrong() -> None:
    x = torch.rand(3, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(Linear(4, 2)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_autocast_is_left_to_torch() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pair()[1](torch.rand(3, 784)).dtype == torch.bfloat16


def test_no_rows_give_no_rows() -> None:
    assert pair()[1](torch.rand(0, 784)).shape == (0, 512)


def test_exports_as_a_plain_linear_layer() -> None:
    _, ours = pair()
    program = torch.export.export(ours, (torch.rand(2, 784),))
    assert "aten.linear" in str(program.graph)


def test_is_compiled_as_a_plain_linear_layer() -> None:
    graphs: list[str] = []

    def backend(module: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(str(module.graph))
        return module.forward

    torch.compile(pair()[1], backend=backend)(torch.rand(2, 784))
    assert len(graphs) == 1
    assert "linear" in graphs[0]
    assert "autograd_function" not in graphs[0]


@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
def test_is_traced_as_a_plain_linear_layer() -> None:
    _, ours = pair()
    graph = str(torch.jit.trace(ours, torch.rand(2, 784)).graph)
    assert "aten::linear" in graph
    assert "PythonOp" not in graph


@pytest.mark.parametrize("way", ["compile()", "torch.compile", "Lightning"])
def test_of_a_compiled_module_it_is_not_known(way: str) -> None:
    module = DigitClassifier()
    assert bits_ignore_threads(module, ()) is True
    if way == "compile()":
        module.net.compile(backend="eager")
    elif way == "torch.compile":
        module.net = torch.compile(module.net, backend="eager")  # type: ignore[assignment]
    else:
        from_compiled(torch.compile(module, backend="eager"))  # type: ignore[arg-type]
    assert bits_ignore_threads(module, ()) is False


def test_whether_bits_depend_on_threads_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = pair()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        plain = Linear.forward

        def dependent(self: Linear, x: Tensor) -> Tensor:
            return plain(self, x) * (1 + 1e-6 * torch.get_num_threads())

        monkeypatch.setattr(Linear, "forward", dependent)
        assert not bits_ignore_threads(ours, (128,))
        assert torch.get_num_threads() == 2
        assert bits_ignore_threads(nn.Flatten(), (128,))
        assert not bits_ignore_threads(nn.Conv2d(1, 1, 3), (128,))  # not tried, so not known
    finally:
        torch.set_num_threads(threads)
