"""The book's program, in today's Keras on TensorFlow, with its data read from a folder."""

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2",
               "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}  # fmt: skip

import keras
import numpy as np
from keras import layers
from parity.record import BATCH, EPOCHS, LOOKS, Record

RAW = Path(__file__).parents[2] / "data" / "MNIST" / "raw"


class Looks(keras.callbacks.Callback):
    def __init__(self, images: Any, labels: Any) -> None:
        super().__init__()
        self.images, self.labels = keras.ops.convert_to_tensor(images), labels
        self.looks: list[float] = []
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.epoch == EPOCHS - 1 and batch + 1 in LOOKS:
            predicted = np.asarray(self.model(self.images)).argmax(1)
            self.looks.append(float((predicted == self.labels).mean()))


def read(part: str) -> tuple[Any, Any]:
    packed = (RAW / f"{part}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1"))
    pixels, classes = (gzip.decompress(path.read_bytes()) for path in packed)
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28 * 28)
    return images.astype("float32") / 255, np.frombuffer(classes, np.uint8, offset=8)


def run(seed: int, seed_once: bool = False) -> Record:
    """With `seed_once` all epochs have one order: TensorFlow, once it has a seed, shuffles each
    epoch of a `fit` alike. The book's program has no seed. So an epoch gets its own here, and its
    own `fit`.
    """
    train_images, train_labels = read("train")
    test_images, test_labels = read("t10k")
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((28 * 28,)),
            layers.Dense(512, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    looks = Looks(test_images, test_labels)
    first: dict[str, Any] = {}
    for epoch in (EPOCHS - 1,) if seed_once else range(EPOCHS):
        if epoch and not seed_once:
            keras.utils.set_random_seed(1000 * epoch + seed)
        history = network.fit(
            train_images,
            keras.utils.to_categorical(train_labels),
            epochs=epoch + 1,
            initial_epoch=0 if seed_once else epoch,
            batch_size=BATCH,
            callbacks=[looks],
            verbose=0,
        ).history
        first = first or history
    loss, accuracy = network.evaluate(
        test_images, keras.utils.to_categorical(test_labels), verbose=0
    )
    weights = b"".join(weight.tobytes() for weight in network.get_weights())
    return {
        "acc": round(accuracy, 4),  # of 10,000 images
        "loss": loss,
        "looks": looks.looks,
        "first_loss": first["loss"][0],
        "first_acc": first["accuracy"][0],
        "weights": hashlib.sha256(weights).hexdigest()[:16],
    }
