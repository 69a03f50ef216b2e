"""Write the network to bytes in three formats, read it from them, and compare the two. Shapes: N
images (B inside a network), H W pixels, K = 10 classes.

`onnx` and `torch` include the steps that callers get wrong, the division by 255 and the softmax;
`safetensors` has the weights alone.
"""

import copy
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data import idx
from digits.data.mnist import CLASSES, SIDE, TEST
from digits.errors import InputError
from digits.files import DATA
from digits.prediction import loading
from digits.prediction.predictor import Network

RAW = DATA / "MNIST" / "raw"
BATCHES = (0, 1, 2, 7, 1000)  # exporters may fix the size they saw, or sizes 0 and 1
RECURRENT = {"GRU", "LSTM", "RNN"}

# A float32 logit is off by up to 1e-6 of the largest (measured for hidden_size 8 to 8192, trained
# or not). So the gap between two logits differs between programs by up to 4 times that, and a
# probability, whose slope is p (1 - p) <= 1/4, differs by as much as one logit is off.
ROUNDING = 1e-6

About = dict[str, str]
WHOLE = {
    "input": f"images: uint8 (N, {SIDE}, {SIDE}), 0 background, 255 ink, as in MNIST",
    "output": f"probabilities: float32 (N, {CLASSES}), in the order of classes",
}
WEIGHTS = {
    "input": f"float32 (N, {SIDE}, {SIDE}): pixels / 255, 0 background, 1 ink, as in MNIST",
    "output": f"logits: float32 (N, {CLASSES}), in the order of classes",
}


class Whole(nn.Module):
    """A network from uint8 images (N, 28, 28) to probabilities (N, 10)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.net(images.float() / 255).softmax(1)
        return probabilities


def _program(net: nn.Module) -> torch.export.ExportedProgram:
    images = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)  # with 1, torch would make N a constant
    shapes = {"images": {0: torch.export.Dim("N")}}
    program = torch.export.export(Whole(net).eval(), (images,), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names this machine's folders
    return program


def _to_torch(net: nn.Module, about: About) -> bytes:
    file = io.BytesIO()
    text = json.dumps(about | WHOLE, indent=2)
    torch.export.save(_program(net), file, extra_files={"metadata.json": text})
    return file.getvalue()


def _to_onnx(net: nn.Module, about: About) -> bytes:
    from onnx.helper import set_model_props

    exported = torch.onnx.export(
        _program(net),
        dynamo=True,
        dynamic_shapes={"images": {0: "N"}},
        input_names=["images"],
        output_names=["probabilities"],
        verbose=False,
    )
    assert exported is not None
    model = exported.model_proto
    set_model_props(model, about | WHOLE)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _to_safetensors(net: nn.Module, about: About) -> bytes:
    return saved(net, net.state_dict(), about)


def saved(net: nn.Module, state: Mapping[str, Tensor], about: About) -> bytes:
    """Return a safetensors file of the weights in `state`, named as in a checkpoint of `net`."""
    from safetensors.torch import save

    prefix, layers = _named(net)
    weights = {f"{prefix}{name}": weight.contiguous() for name, weight in state.items()}
    about = about | WEIGHTS | {"layers": layers}
    if loading.with_channel in net._forward_pre_hooks.values():
        about["input"] = about["input"].replace("(N, ", "(N, 1, ")
    return save(weights, about)


def _named(net: nn.Module) -> tuple[str, str]:
    """Return the prefix of weights' names in a checkpoint, and a text that names the layers."""
    if isinstance(net, nn.Sequential):
        return "net.", ", ".join(f"net.{name} {layer}" for name, layer in net.named_children())
    return "", f"{type(net).__module__}.{type(net).__qualname__}"


def _from_onnx(data: bytes, _: nn.Module) -> Network:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1  # 10,000 images take 0.06 s; two threads are no faster
    session = InferenceSession(data, options, ["CPUExecutionProvider"])

    def run(images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        p_NK: NDArray[np.float32] = session.run(None, {"images": images_NHW})[0]
        return p_NK

    return run


def _from_torch(data: bytes, _: nn.Module) -> Network:
    return _on_arrays(torch.export.load(io.BytesIO(data)).module())


def _from_safetensors(data: bytes, net: nn.Module) -> Network:
    fresh = filled(net, state_of(data, net))
    return _on_arrays(lambda images_NHW: fresh(images_NHW.float() / 255).softmax(1))


def state_of(data: bytes, net: nn.Module) -> dict[str, Tensor]:
    """Return what `saved` was given."""
    from safetensors.torch import load

    prefix, _ = _named(net)
    return {name.removeprefix(prefix): weight for name, weight in load(data).items()}


def filled(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a network of `net`'s kind with other weights."""
    fresh = copy.deepcopy(net)
    fresh.load_state_dict(state)
    return fresh


def _on_arrays(compute: Callable[[Tensor], Tensor]) -> Network:
    def run(images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            p_NK: NDArray[np.float32] = compute(torch.from_numpy(images_NHW)).numpy()
            return p_NK

    return run


Write = Callable[[nn.Module, About], bytes]
WRITE: dict[str, Write] = {"onnx": _to_onnx, "torch": _to_torch, "safetensors": _to_safetensors}
READ: dict[str, Callable[[bytes, nn.Module], Network]] = {
    "onnx": _from_onnx,
    "torch": _from_torch,
    "safetensors": _from_safetensors,
}


def agree(kind: str, net: nn.Module, data: bytes) -> bool:
    """Whether a file's bytes give the network's probabilities; prints how much they differ."""
    exported, samples = READ[kind](data, net), _samples()
    limits = [ROUNDING * max(1.0, _largest_logit(net, images)) for images in samples.values()]
    print("largest difference from the checkpoint's probabilities")
    print(_row("batch", samples))
    all_agree = True
    for size in BATCHES[1:] if kind == "onnx" and _is_recurrent(data) else BATCHES:
        differences = [_difference(net, exported, images[:size]) for images in samples.values()]
        print(_row(size, map("{:.1e}".format, differences)))
        all_agree &= all(map(float.__le__, differences, limits))  # NaN gives false
    print(_row("limit", map("{:.1e}".format, limits)))
    return all_agree


def _is_recurrent(data: bytes) -> bool:
    """Whether the file has a recurrent node: ONNX Runtime crashes if that gets no image."""
    from onnx import load_model_from_string

    model = load_model_from_string(data)
    parts = (model.graph, *model.functions)
    return not RECURRENT.isdisjoint(node.op_type for part in parts for node in part.node)


def _row(first: object, cells: Iterable[str]) -> str:
    return f"{first:>5}" + "".join(f"{cell:>13}" for cell in cells)


def _samples() -> dict[str, Tensor]:
    """Return images for the comparison: noise reaches logits that digits do not."""
    generator = torch.Generator().manual_seed(0)
    size = (max(BATCHES), SIDE, SIDE)
    samples = {"noise": torch.randint(256, size, dtype=torch.uint8, generator=generator)}
    with suppress(InputError):  # the files need not be here
        samples["test images"], _ = idx.read(RAW, TEST)
    return samples


def logits(net: nn.Module, images_NHW: Tensor) -> Tensor:
    with torch.inference_mode():
        logits_NK: Tensor = net(images_NHW.float() / 255)
        return logits_NK


def _largest_logit(net: nn.Module, images_NHW: Tensor) -> float:
    return logits(net, images_NHW).abs().max().item()


def _difference(net: nn.Module, exported: Network, images_NHW: Tensor) -> float:
    expected_NK = logits(net, images_NHW).softmax(1).numpy()
    p_NK = exported(images_NHW.numpy())
    if p_NK.shape != expected_NK.shape or p_NK.dtype != expected_NK.dtype:
        return math.inf
    return float(np.abs(p_NK - expected_NK).max(initial=0))
