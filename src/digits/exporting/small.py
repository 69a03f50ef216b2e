"""Write the weights in a half or a quarter of their bytes, and count the answers that this changes.
Shapes: N images, K classes, R rows: the weights of one unit, or of one of a convolution's channels.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from digits.data import idx
from digits.data.mnist import TEST
from digits.exporting import formats
from digits.exporting.formats import About
from digits.prediction.network import SCALE

MOST_CHANGED = 0.001  # of the answers for the test images


def write(kind: str, net: nn.Module, about: About) -> bytes:
    """Return a safetensors file of float16 weights, or of int8 ones with a scale for each row;
    biases are float16 or float32 then.
    """
    told = "weight = int8 * scale of its row" if kind == "int8" else "weight = float16"
    return formats.saved(net, _state(kind, net), about | {"weights": told})


def tested(kind: str, net: nn.Module) -> About:
    """Return how good the network is with the weights that `write` writes."""
    images_NHW, labels_N = idx.read(formats.RAW, TEST)
    answers_N = _probabilities(_filled(net, _state(kind, net)), images_NHW).argmax(1)
    accuracy = float((answers_N == labels_N).float().mean())
    return {"test_accuracy": f"{accuracy:.6g}", "test_images": str(len(labels_N))}


def _state(kind: str, net: nn.Module) -> dict[str, Tensor]:
    parts = (_packed(kind, name, weight) for name, weight in net.state_dict().items())
    return dict(chain.from_iterable(parts))


def _packed(kind: str, name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    if not weight.is_floating_point():
        yield name, weight
    elif kind == "float16":
        yield name, weight.half()
    elif weight.ndim < 2:
        yield name, weight
    else:
        scale_R = weight.abs().flatten(1).amax(1).clamp(min=1e-30) / 127
        yield name, (weight / _rows(scale_R, weight)).round().to(torch.int8)
        yield f"{name}{SCALE}", scale_R


def _rows(scale_R: Tensor, weight: Tensor) -> Tensor:
    """Return the scales in a shape by which `weight` can be multiplied."""
    return scale_R.view(-1, *[1] * (weight.ndim - 1))


def unpacked(data: bytes, net: nn.Module) -> nn.Module:
    """Return the network of `net`'s kind that has the weights in a file's bytes."""
    return _filled(net, formats.state_of(data, net))


def _filled(net: nn.Module, found: dict[str, Tensor]) -> nn.Module:
    for name in [name for name in found if f"{name}{SCALE}" in found]:
        scale_R = found.pop(f"{name}{SCALE}")
        found[name] = found[name].float() * _rows(scale_R, found[name])
    return formats.filled(net, found)


def agree(net: nn.Module, data: bytes) -> bool:
    """Whether the file gives the checkpoint's answers for the test images but for one in a
    thousand; prints how many differ, and both accuracies.
    """
    images_NHW, labels_N = idx.read(formats.RAW, TEST)
    before_NK, after_NK = (_probabilities(each, images_NHW) for each in (net, unpacked(data, net)))
    before_N, after_N = before_NK.argmax(1), after_NK.argmax(1)
    changed, count = int((before_N != after_N).sum()), len(labels_N)
    accuracies = [float((answer == labels_N).float().mean()) for answer in (before_N, after_N)]
    print(f"answers that change     {changed} of {count:,} test images")
    print("test accuracy           {:.4f}, before {:.4f}".format(*accuracies[::-1]))
    print(f"probabilities change by {float((before_NK - after_NK).abs().max()):.4f} at most")
    return changed <= MOST_CHANGED * count


def _probabilities(net: nn.Module, images_NHW: Tensor) -> Tensor:
    parts = torch.split(images_NHW, 1000)
    return torch.cat([formats.logits(net, part).softmax(1) for part in parts])
