"""Twelve runs as twelve processes, as a sweep one after the other, and in the pool: alternating.

python benchmarks/sweeps/launchers.py --rounds 3
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
LRS, SEEDS = ("1e-4", "3e-4", "1e-3", "3e-3"), ("0", "1", "2")
SAME = ("data.val_size=10000", "trainer.max_epochs=2")
SWEEP = ("-m", f"model.optimizer.lr={','.join(LRS)}", f"seed={','.join(SEEDS)}", *SAME)


def separate(outputs: str) -> None:
    for lr, seed in product(LRS, SEEDS):
        _train(outputs, f"model.optimizer.lr={lr}", f"seed={seed}", *SAME, "test=false")


def basic(outputs: str) -> None:
    _train(outputs, *SWEEP, "hydra/launcher=basic")


def local(outputs: str) -> None:
    _train(outputs, *SWEEP)


def _train(outputs: str, *words: str) -> None:
    command = [sys.executable, "src/train.py", *words, f"paths.outputs_dir={outputs}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {"separate": [], "basic": [], "local": []}
    for _ in range(rounds):
        for run in (separate, basic, local):
            with tempfile.TemporaryDirectory() as outputs:
                begin = time.perf_counter()
                run(outputs)
                seconds[run.__name__].append(round(time.perf_counter() - begin, 2))
            print(run.__name__, seconds[run.__name__][-1], flush=True)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {
        "basic / separate": round(medians["basic"] / medians["separate"], 3),
        "local / basic": round(medians["local"] / medians["basic"], 3),
    }
    print(json.dumps({"seconds": seconds, "medians": medians, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
