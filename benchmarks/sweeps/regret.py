"""How near to the best of a grid each sampler of Optuna comes, on scores that were measured once.

    python src/train.py -m hydra/launcher=local data.val_size=5000 trainer.max_epochs=1 \\
        trainer.limit_train_batches=0.2 \\
        model.optimizer.lr=3e-5,1e-4,3e-4,1e-3,2e-3,4e-3,8e-3,1.6e-2,3.2e-2 \\
        data.batch_size=32,64,128,256 model.hidden_size=64,128,256,512
    python benchmarks/sweeps/regret.py outputs/multirun/.../leaderboard.csv

Regret is the best score of the grid less the best that was found: in points, mean of `--seeds`.
"""

import argparse
import csv
import json
import random
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna

NAMES = ("model.optimizer.lr", "data.batch_size", "model.hidden_size")
AFTER = (10, 20, 30)
Point = tuple[int, ...]


def scores(path: Path) -> tuple[dict[Point, float], list[int]]:
    """By the place of each value among its setting's; and how many each setting has."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    values = [sorted({float(row[name]) for row in rows}) for name in NAMES]
    found = {}
    for row in rows:
        places = (each.index(float(row[n])) for n, each in zip(NAMES, values, strict=True))
        found[tuple(places)] = float(row["val/acc_best"])
    return found, [len(each) for each in values]


def by_sampler(make: Callable[[int], optuna.samplers.BaseSampler]) -> Callable[..., list[Point]]:
    def search(known: dict[Point, float], sizes: list[int], seed: int) -> list[Point]:
        study = optuna.create_study(direction="maximize", sampler=make(seed))
        points = []
        for _ in range(max(AFTER)):
            trial = study.ask()
            point = tuple(trial.suggest_int(str(i), 0, n - 1) for i, n in enumerate(sizes))
            study.tell(trial, known[point])
            points.append(point)
        return points

    return search


def grid(known: dict[Point, float], sizes: list[int], seed: int) -> list[Point]:
    """In its own order, the last setting fastest."""
    return sorted(known)


def shuffled(known: dict[Point, float], sizes: list[int], seed: int) -> list[Point]:
    return random.Random(seed).sample(sorted(known), len(known))


SEARCHES = {
    "grid, in order": grid,
    "grid, shuffled": shuffled,
    "random": by_sampler(lambda seed: optuna.samplers.RandomSampler(seed=seed)),
    "qmc": by_sampler(lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True)),
    "tpe": by_sampler(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "gp": by_sampler(lambda seed: optuna.samplers.GPSampler(seed=seed)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("leaderboard", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known, sizes = scores(arguments.leaderboard)
    best = max(known.values())
    results = {}
    for name, search in SEARCHES.items():
        found = [search(known, sizes, seed) for seed in range(arguments.seeds)]
        regrets = {
            n: [100 * (best - max(known[p] for p in points[:n])) for points in found] for n in AFTER
        }
        results[name] = {
            n: f"{statistics.fmean(each):.2f} (worst {max(each):.2f})"
            for n, each in regrets.items()
        }
        print(name, results[name], flush=True)
    print(json.dumps({"best": best, "points": len(known), "regret": results}, indent=2))


if __name__ == "__main__":
    main()
