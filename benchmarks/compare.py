"""Time our whole 5-epoch run and a stock Lightning script's, taking turns in one session.

    python benchmarks/compare.py --rounds 5

Whole processes: interpreter start, imports, data, training, test, everything written.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def timed(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds of a command and the test accuracy it printed."""
    begin = time.perf_counter()
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - begin
    accuracies = re.findall(r"^test accuracy\s+([\d.]+)", run.stdout, flags=re.MULTILINE)
    return seconds, float(accuracies[-1])


def compare(rounds: int, folder: Path) -> dict[str, list[tuple[float, float]]]:
    shutil.copytree(ROOT / "data" / "MNIST" / "raw", folder / "MNIST" / "raw")
    commands = {
        "ours": ["src/train.py", "trainer.max_epochs=5", f"paths.outputs_dir={folder}/ours"],
        "stock Lightning": ["benchmarks/stock_lightning.py", str(folder)],
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            results[name].append(timed(command))
            print(f"round {turn + 1}  {name:<16} {results[name][-1][0]:6.1f} s", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        results = compare(rounds, Path(folder))
    medians = {name: statistics.median(s for s, _ in runs) for name, runs in results.items()}
    for name, runs in results.items():
        seconds, accuracies = zip(*runs, strict=True)
        print(
            f"{name:<16} median {medians[name]:5.1f} s ({min(seconds):.1f}-{max(seconds):.1f}, "
            f"n={rounds})  test accuracy {statistics.mean(accuracies):.4f}"
        )
    print(f"ours / stock Lightning  {medians['ours'] / medians['stock Lightning']:.2f}")
    path = ROOT / "benchmarks" / "results" / f"{os.cpu_count()}-cores-{platform.machine()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"seconds, test accuracy": results}, indent=1) + "\n")
    print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
