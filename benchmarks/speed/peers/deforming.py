"""Images a second that are deformed, on one thread, in batches of 128: moved alone, with another
pen, and with all there is.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from digits.data import idx, mnist
from digits.data.augment import Deformation
from digits.data.unpacking import raw_dir

BATCH, ROUNDS, BATCHES = 128, 9, 100
MOVES: dict[str, Any] = {"elastic": 1.0, "rotation": 10.0, "scale": 0.12, "shift": 1.0}
WAYS: dict[str, dict[str, Any]] = {
    "moved": MOVES,
    "moved, another pen": MOVES | {"pen": 0.8},
    "moved, another pen, fading, noise": MOVES | {"pen": 0.8, "contrast": 0.5, "noise": 0.2},
}


def images_per_second(deform: Deformation, images_NHW: torch.Tensor) -> float:
    draw, seconds = torch.Generator().manual_seed(0), []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for images_BHW in torch.split(images_NHW, BATCH):
            deform(images_BHW, draw)
        seconds.append(time.perf_counter() - begin)
    return len(images_NHW) / statistics.median(seconds)


def main() -> None:
    torch.set_num_threads(1)
    images_NHW, _ = idx.read(Path(raw_dir(None)), mnist.TRAIN)
    some = images_NHW[: BATCH * BATCHES]
    print(json.dumps({way: images_per_second(Deformation(**WAYS[way]), some) for way in WAYS}))


if __name__ == "__main__":
    main()
