"""The network in three formats, written to bytes and read from them. Shapes: N images (B inside a
network), H W pixels or D of them in a row, K = 10 classes.

What callers get wrong (dividing by 255, the softmax) is inside `onnx` and `torch`; `safetensors`
has the weights alone.
"""

import copy
import io
import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data.mnist import CLASSES, SIDE
from digits.model.linear import Linear
from digits.prediction import onnx_file
from digits.prediction.predictor import Network

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
    """uint8 images (N, 28, 28) to probabilities (N, 10).

    With nn.Linear: model.linear.Linear asks for the batch size, which would freeze in the file.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = _plain(copy.deepcopy(net))
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        # with torch 2.8 a Flatten in `net` would become three operators on the batch size
        x = images.reshape(-1, SIDE * SIDE) if _begins_flat(self.net) else images
        probabilities: Tensor = self.net(x.float() / 255).softmax(1)
        return probabilities


def _begins_flat(net: nn.Module) -> bool:
    return isinstance(net, nn.Sequential) and isinstance(net[0], nn.Flatten)


def _plain(module: nn.Module) -> nn.Module:
    """`module`, whose layers of model.linear become nn.Linear."""
    for name, part in module.named_children():
        setattr(module, name, _plain(part))
    if not isinstance(module, Linear):
        return module
    plain = nn.Linear(module.in_features, module.out_features, module.bias is not None)
    plain.load_state_dict(module.state_dict())
    return plain


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
    from safetensors.torch import load, save

    prefix, layers = _named(net)
    state = net.state_dict().items()
    weights = {f"{prefix}{name}": weight.contiguous() for name, weight in state}
    data = save(weights, about | WEIGHTS | {"layers": layers})
    back = load(data)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())
    return data


def _named(net: nn.Module) -> tuple[str, str]:
    """What a checkpoint puts before the names of weights, and which layers they are of."""
    if isinstance(net, nn.Sequential):
        return "net.", "flatten, linear net.1, ReLU, linear net.3"
    return "", f"{type(net).__module__}.{type(net).__qualname__}"


def _from_onnx(data: bytes, net: nn.Module) -> Network:
    return onnx_file.network(data, is_trusted=not isinstance(net, nn.Sequential))


def _from_torch(data: bytes, _: nn.Module) -> Network:
    return _on_arrays(torch.export.load(io.BytesIO(data)).module())


def _from_safetensors(data: bytes, net: nn.Module) -> Network:
    from safetensors.torch import load

    prefix, _ = _named(net)
    fresh = copy.deepcopy(net)
    fresh.load_state_dict(
        {name.removeprefix(prefix): weight for name, weight in load(data).items()}
    )
    return _on_arrays(lambda images_NHW: fresh(images_NHW.float() / 255).softmax(1))


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
