"""What our runs are asked in a benchmark beyond their plain command."""

import json
import sys
import time
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "src"))

from digits.data import idx, mnist  # noqa: E402
from digits.runs import checkpoint  # noqa: E402


class FirstBatch(Callback):
    """Prints the time at which the first batch is there."""

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == 0:
            print(json.dumps({"first_batch_at": time.time()}), flush=True)


class EpochSeconds(Callback):
    """Prints how long each epoch took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.begin = time.perf_counter()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.perf_counter() - self.begin)

    def on_fit_end(self, *_: object) -> None:
        print(json.dumps({"epoch_seconds": self.seconds}), flush=True)


def inference(ckpt_path: str, data_dir: str) -> None:
    """Prints seconds from 10,000 uint8 images in memory to their digits and probabilities."""
    model = checkpoint.model_of(ckpt_path, checkpoint.read(ckpt_path)).eval()
    model.load_state_dict(checkpoint.read(ckpt_path)["state_dict"])
    images, labels = idx.read(Path(data_dir) / "MNIST" / "raw", mnist.TEST)
    times = []
    with torch.inference_mode():
        for _ in range(20):
            begin = time.perf_counter()
            digit = model(images / 255).softmax(1).argmax(1)
            times.append(time.perf_counter() - begin)
    accuracy = (digit == labels).float().mean().item()
    print(json.dumps({"first": times[0], "seconds": times, "accuracy": accuracy}))


if __name__ == "__main__":
    inference(*sys.argv[1:])
