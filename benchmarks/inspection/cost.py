"""What looking into a default run costs: whole runs with and without, in turn.

python benchmarks/inspection/cost.py --runs 5
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
OFF = ("callbacks.samples=null", "callbacks.watch=null", "callbacks.report=null")
FORMS = {
    "nothing": OFF,
    "samples": OFF[1:],
    "samples, watch": OFF[2:],
    "default": (),
    "inspect": ("callbacks=inspect",),
}


def run(words: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of the whole process, and of its fit."""
    with tempfile.TemporaryDirectory() as outputs:
        begin = time.monotonic()
        command = [sys.executable, "src/train.py", *words, f"paths.outputs_dir={outputs}"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds = time.monotonic() - begin
        (metrics,) = Path(outputs).glob("train/*/metrics.json")
        return seconds, float(json.loads(metrics.read_text())["fit_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each form")
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMS}
    for _ in range(parser.parse_args().runs):
        for name, words in FORMS.items():
            took[name].append(run(words))
    least = statistics.median(whole for whole, _ in took["nothing"])
    for name, times in took.items():
        whole, fit = ([pair[place] for pair in times] for place in (0, 1))
        median = statistics.median(whole)
        print(f"{name:<15} {median:.2f} s ({min(whole):.2f} to {max(whole):.2f}), ", end="")
        print(f"fit {statistics.median(fit):.2f} s, {median / least - 1:+.1%}")


if __name__ == "__main__":
    main()
