"""The floor: an epoch's two big matrix products and nothing else, by MKL (torch.mm) and by oneDNN.

469 times x (128, 784) by W1 (784, 512), and the gradient of W1 (512, 128) by (128, 784); the
products with ten columns are left out.
"""

import json
import statistics
import time
from collections.abc import Callable

import torch

STEPS, ROUNDS = 469, 5


def seconds(step: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(STEPS):
            step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    x, weight, grad = torch.rand(128, 784), torch.rand(512, 784), torch.rand(128, 512)
    y, grad_weight = torch.empty(128, 512), torch.empty(512, 784)
    linear = torch.ops.mkldnn._linear_pointwise

    def mkl() -> None:
        torch.mm(x, weight.t(), out=y)
        torch.mm(grad.t(), x, out=grad_weight)

    def onednn() -> None:
        linear(x, weight, None, "none", [], "")
        linear(grad.t(), x.t(), None, "none", [], "")

    print(json.dumps({"mkl_epoch_seconds": seconds(mkl), "onednn_epoch_seconds": seconds(onednn)}))


if __name__ == "__main__":
    main()
