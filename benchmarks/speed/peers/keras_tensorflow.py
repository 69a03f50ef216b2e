"""The reference script, in today's Keras on TensorFlow, with its data read from a folder."""

import os
import time

from common import arrays, report, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
from keras import layers


class EpochSeconds(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.perf_counter() - self.begin)


def main() -> None:
    given = settings()
    images, labels = arrays(given.folder, "train", given.images)
    train_images = images.reshape((-1, 28 * 28)).astype("float32") / 255
    train_labels = keras.utils.to_categorical(labels)
    images, labels = arrays(given.folder, "t10k")
    test_images = images.reshape((-1, 28 * 28)).astype("float32") / 255
    test_labels = keras.utils.to_categorical(labels)

    network = keras.Sequential(
        [
            keras.Input((28 * 28,)),
            layers.Dense(512, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    timer = EpochSeconds()
    begin = time.perf_counter()
    network.fit(
        train_images, train_labels, epochs=given.epochs, batch_size=given.batch, callbacks=[timer]
    )
    seconds = time.perf_counter() - begin
    _, test_accuracy = network.evaluate(test_images, test_labels)
    report(seconds, timer.seconds, test_accuracy)


if __name__ == "__main__":
    main()
