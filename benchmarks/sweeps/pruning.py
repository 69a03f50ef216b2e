"""What pruning saves, and whether the winner is lost: random searches, the same trials with and
without.

    python benchmarks/sweeps/pruning.py --seeds 5
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = ("hparams_search=mnist_optuna", "hydra/sweeper/sampler=random",
         "hydra.sweeper.n_trials=16", "trainer.max_epochs=8", "trainer.limit_train_batches=0.05",
         "data.val_size=5000", "logger=csv", "callbacks.samples=null",
         "callbacks.watch=null", "callbacks.report=null")  # fmt: skip


def search(seed: int, callbacks: str) -> tuple[int, int, float]:
    """Epochs in all; the best trial that was not pruned, and its score."""
    with tempfile.TemporaryDirectory() as outputs:
        words = [*WORDS, f"hydra.sweeper.sampler.seed={seed}", f"callbacks={callbacks}"]
        command = [sys.executable, "src/train.py", "-m", *words, f"paths.outputs_dir={outputs}"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        (folder,) = Path(outputs).glob("multirun/*")
        told = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/*.json")
                if path.name == "metrics.json"}  # fmt: skip
    whole = {n: m["val/acc_best"] for n, m in told.items() if not m["ended"].startswith("pruned")}
    best = max(whole, key=lambda name: whole[name])
    return sum(m["epochs"] for m in told.values()), int(best), whole[best]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    for seed in range(parser.parse_args().seeds):
        epochs, best, score = search(seed, "default")
        fewer, found, its = search(seed, "pruning")
        saved = 1 - fewer / epochs
        print(f"seed {seed}: {epochs} epochs, trial {best} with {score:.4f};", end=" ")
        print(f"pruned {fewer} ({saved:.0%} saved), trial {found} with {its:.4f}", flush=True)


if __name__ == "__main__":
    main()
