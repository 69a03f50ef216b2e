"""Write the weights in a half or a quarter of their bytes, and count the answers that this changes.
Shapes: N images, K classes, R rows: the weights of one unit, or of one of a convolution's channels.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from digits.data import idx
from digits.data.mnist import TEST
from digits.exporting.formats import RAW, WEIGHTS, About, named

SCALE = ".scale"  # of a row's int8 weights: float32 (R,)
MOST_CHANGED = 0.001  # of the answers for the test images


def write(kind: str, net: nn.Module, about: About) -> bytes:
    """Return a safetensors file of float16 weights, or of int8 ones with a scale for each row;
    biases are float16 or float32 then.
    """
    from safetensors.torch import save

    prefix, layers = named(net)
    told = "weight = int8 * scale of its row" if kind == "int8" else "weight = float16"
    weights = {
        f"{prefix}{name}": part.contiguous()
        for full, weight in net.state_dict().items()
        for name, part in _packed(kind, full, weight)
    }
    return save(weights, about | WEIGHTS | {"layers": layers, "weights": told})


def _packed(kind: str, name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    if not weight.is_floating_point():
        yield name, weight
    elif kind == "float16":
        yield name, weight.half()
    elif weight.ndim < 2:
        yield name, weight
    else:
        largest_R = weight.abs().flatten(1).amax(1).clamp(min=1e-30)
        scale_R = largest_R / 127
        yield name, (weight / scale_R.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        yield f"{name}{SCALE}", scale_R


def unpacked(data: bytes, net: nn.Module) -> nn.Module:
    """Return the network of `net`'s kind that has the weights in a file's bytes."""
    from safetensors.torch import load

    prefix, _ = named(net)
    found = {name.removeprefix(prefix): weight for name, weight in load(data).items()}
    for name in [name for name in found if name.endswith(SCALE)]:
        weight, scale_R = found[name.removesuffix(SCALE)], found.pop(name)
        rows = scale_R.view(-1, *[1] * (weight.ndim - 1))
        found[name.removesuffix(SCALE)] = weight.float() * rows
    fresh = copy.deepcopy(net)
    fresh.load_state_dict(found)
    return fresh


def agree(net: nn.Module, data: bytes) -> bool:
    """Whether the file gives the checkpoint's answers for the test images but for one in a
    thousand; prints how many differ, and both accuracies.
    """
    images_NHW, labels_N = idx.read(RAW, TEST)
    before_NK, after_NK = (_probabilities(each, images_NHW) for each in (net, unpacked(data, net)))
    before_N, after_N = before_NK.argmax(1), after_NK.argmax(1)
    changed, count = int((before_N != after_N).sum()), len(labels_N)
    accuracies = [float((answer == labels_N).float().mean()) for answer in (before_N, after_N)]
    print(f"answers that change     {changed} of {count:,} test images")
    print("test accuracy           {:.4f}, before {:.4f}".format(*accuracies[::-1]))
    print(f"probabilities change by {float((before_NK - after_NK).abs().max()):.4f} at most")
    return changed <= MOST_CHANGED * count


def _probabilities(net: nn.Module, images_NHW: Tensor) -> Tensor:
    with torch.inference_mode():
        parts = [net(part.float() / 255).softmax(1) for part in torch.split(images_NHW, 1000)]
    return torch.cat(parts)
