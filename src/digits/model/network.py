"""The reference network, as a checkpoint holds it."""

from torch import nn

from digits.data.mnist import CLASSES, SIDE

LAYERS = [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def network(
    hidden_size: int, side: int = SIDE, classes: int = CLASSES, channels: int = 1
) -> nn.Sequential:
    """Make a network that takes images (B, `channels`, `side`, `side`), or (B, `side`, `side`) of
    one channel, float32 in [0, 1], to logits (B, `classes`). Weights start Glorot-uniform and
    biases at zero, as in Keras.
    """
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
