"""JAX: an epoch is one compiled `lax.scan` over its batches, updates in place."""

import time
from functools import partial

import jax
import jax.numpy as jnp
from common import arrays, report, settings
from jax import Array, lax

LR, SMOOTHING, EPSILON = 1e-3, 0.9, 1e-7
Layers = list[tuple[Array, Array]]
State = tuple[Layers, Layers]  # weights and biases; the mean of their squared gradients


def init(key: Array) -> State:
    sizes = [(784, 512), (512, 10)]
    glorot = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(sizes))
    layers = [(glorot(k, s), jnp.zeros(s[1])) for k, s in zip(keys, sizes, strict=True)]
    return layers, jax.tree.map(jnp.zeros_like, layers)


def logits(layers: Layers, x: Array) -> Array:
    (w1, b1), (w2, b2) = layers
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def loss(layers: Layers, x: Array, y: Array) -> Array:
    scores = jax.nn.log_softmax(logits(layers, x))
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()


def step(state: State, batch: tuple[Array, Array]) -> tuple[State, Array]:
    layers, squares = state
    value, gradients = jax.value_and_grad(loss)(layers, *batch)
    squares = jax.tree.map(lambda v, g: SMOOTHING * v + (1 - SMOOTHING) * g * g, squares, gradients)
    layers = jax.tree.map(
        lambda p, g, v: p - LR * g / (jnp.sqrt(v) + EPSILON), layers, gradients, squares
    )
    return (layers, squares), value


@partial(jax.jit, static_argnames="batch", donate_argnames="state")
def epoch(state: State, x: Array, y: Array, key: Array, batch: int) -> tuple[State, Array]:
    order = jax.random.permutation(key, len(x))
    whole = len(x) // batch * batch  # the last, smaller batch is a step of its own

    def take(state: State, index: Array) -> tuple[State, Array]:
        return step(state, (x[index], y[index]))

    state, losses = lax.scan(take, state, order[:whole].reshape(-1, batch))
    if whole < len(x):
        state, _ = take(state, order[whole:])
    return state, losses.mean()


def main() -> None:
    given = settings()
    images, labels = arrays(given.folder, "train", given.images)
    x = jnp.asarray(images.reshape(-1, 784), jnp.float32) / 255
    y = jnp.asarray(labels, jnp.int32)
    state = init(jax.random.key(0))
    epoch_seconds = []
    for number in range(given.epochs):
        begin = time.perf_counter()
        state, mean_loss = epoch(state, x, y, jax.random.key(number + 1), given.batch)
        print(f"epoch {number + 1}: loss {mean_loss:.4f}")  # waits for the epoch
        epoch_seconds.append(time.perf_counter() - begin)
    images, labels = arrays(given.folder, "t10k")
    test_x = jnp.asarray(images.reshape(-1, 784), jnp.float32) / 255
    correct = logits(state[0], test_x).argmax(1) == jnp.asarray(labels)
    report(sum(epoch_seconds), epoch_seconds, float(correct.mean()))


if __name__ == "__main__":
    main()
