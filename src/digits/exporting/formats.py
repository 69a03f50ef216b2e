"""The network in three formats, written to bytes and read from them. Shapes: N images (B inside a
network), H W pixels or D of them in a row, K = 10 classes.

What callers get wrong (dividing by 255, the softmax) is inside `onnx` and `torch`; `safetensors`
has the weights alone.
"""

import io
import json
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digits.data.mnist import CLASSES, SIDE
from digits.model.network import network
from digits.prediction import onnx_file
from digits.prediction.predictor import Network

About = dict[str, str]
WHOLE = {
    "input": f"images: uint8 (N, {SIDE}, {SIDE}), 0 background, 255 ink, as in MNIST",
    "output": f"probabilities: float32 (N, {CLASSES}), in the order of classes",
}
WEIGHTS = {
    "input": f"float32 (N, {SIDE}, {SIDE}): pixels / 255, 0 background, 1 ink, as in MNIST",
    "layers": "flatten, linear net.1, ReLU, linear net.3",
    "output": f"logits: float32 (N, {CLASSES}), in the order of classes",
}


class Whole(nn.Module):
    """uint8 images (N, 28, 28) to probabilities (N, 10).

    With nn.Linear: model.linear.Linear asks for the batch size, which would freeze in the file.
    """

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = nn.Sequential(*map(_plain, net))
        self.net.load_state_dict(net.state_dict())
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        # with torch 2.8 the Flatten in `net` would become three operators on the batch size
        x_BD = images.reshape(-1, SIDE * SIDE).float() / 255
        probabilities: Tensor = self.net(x_BD).softmax(1)
        return probabilities


def _plain(layer: nn.Module) -> nn.Module:
    if not isinstance(layer, nn.Linear):
        return layer
    return nn.Linear(layer.in_features, layer.out_features)


def _program(net: nn.Sequential) -> torch.export.ExportedProgram:
    images = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)  # with 1, torch would make N a constant
    shapes = {"images": {0: torch.export.Dim("N")}}
    program = torch.export.export(Whole(net).eval(), (images,), dynamic_shapes=shapes)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names this machine's folders
    return program


def _to_torch(net: nn.Sequential, about: About) -> bytes:
    file = io.BytesIO()
    text = json.dumps(about | WHOLE, indent=2)
    torch.export.save(_program(net), file, extra_files={"metadata.json": text})
    return file.getvalue()


def _to_onnx(net: nn.Sequential, about: About) -> bytes:
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


def _to_safetensors(net: nn.Sequential, about: About) -> bytes:
    from safetensors.torch import load, save

    weights = {f"net.{name}": weight.contiguous() for name, weight in net.state_dict().items()}
    data = save(weights, about | WEIGHTS)
    back = load(data)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())
    return data


def _from_torch(data: bytes) -> Network:
    return _on_arrays(torch.export.load(io.BytesIO(data)).module())


def _from_safetensors(data: bytes) -> Network:
    from safetensors.torch import load

    weights = {name.removeprefix("net."): weight for name, weight in load(data).items()}
    net = network(len(weights["1.bias"]))
    net.load_state_dict(weights)
    return _on_arrays(lambda images_NHW: net(images_NHW.float() / 255).softmax(1))


def _on_arrays(compute: Callable[[Tensor], Tensor]) -> Network:
    def run(images_NHW: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            p_NK: NDArray[np.float32] = compute(torch.from_numpy(images_NHW)).numpy()
            return p_NK

    return run


Write = Callable[[nn.Sequential, About], bytes]
WRITE: dict[str, Write] = {"onnx": _to_onnx, "torch": _to_torch, "safetensors": _to_safetensors}
READ: dict[str, Callable[[bytes], Network]] = {
    "onnx": onnx_file.network,
    "torch": _from_torch,
    "safetensors": _from_safetensors,
}
