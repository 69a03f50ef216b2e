"""The reference's network, as a checkpoint holds it. Torch alone, without Lightning."""

from torch import nn

from digits.model.linear import Linear

CLASSES = 10
SIDE = 28


def network(hidden_size: int) -> nn.Sequential:
    """Images (B, 28, 28), float32 in [0, 1], to logits (B, 10). Weights start Glorot-uniform and
    biases at zero, as in Keras.
    """
    layers = nn.Sequential(
        nn.Flatten(), Linear(SIDE * SIDE, hidden_size), nn.ReLU(), Linear(hidden_size, CLASSES)
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return layers
