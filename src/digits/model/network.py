"""The reference network and the convolutional one, as a checkpoint holds them."""

import torch
from torch import nn

from digits.data.mnist import CLASSES, SIDE
from digits.errors import InputError

LAYERS = [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def network(
    hidden_size: int,
    side: int = SIDE,
    classes: int = CLASSES,
    channels: int = 1,
    filters: int = 0,
) -> nn.Sequential:
    """Make a network that takes images (B, `channels`, `side`, `side`), or (B, `side`, `side`) of
    one channel, float32 in [0, 1], to logits (B, `classes`). With `filters` convolutions come
    first. Without, weights start Glorot-uniform and biases at zero, as in Keras.
    """
    if filters < 0:
        raise InputError(f"model.filters={filters}: expected a whole number from 0")
    if filters:
        return _convolutional(hidden_size, side, classes, channels, filters)
    layers = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * side * side, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, classes),
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return layers


def _convolutional(
    hidden_size: int, side: int, classes: int, channels: int, filters: int
) -> nn.Sequential:
    """The sides of the images are halved three times, and rounded up."""
    layers = nn.Sequential(
        nn.Flatten(),
        nn.Unflatten(1, (channels, side, side)),
        *_convolution(channels, filters, size=5, stride=2),
        *_convolution(filters, filters),
        nn.MaxPool2d(2, ceil_mode=True),
        *_convolution(filters, 2 * filters),
        *_convolution(2 * filters, 2 * filters),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(2 * filters * (-(-side // 8)) ** 2, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, classes),
    )
    # a CPU convolves a quarter faster if the channels of a pixel lie side by side
    return layers.to(memory_format=torch.channels_last)


def _convolution(given: int, made: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(given, made, size, stride, padding=size // 2, bias=False)
    return [layer, nn.BatchNorm2d(made), nn.ReLU()]
