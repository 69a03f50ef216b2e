"""Our whole run beside what one would write otherwise, taking turns in one session.

    pip install -e '.[bench]'
    python benchmarks/speed/compare.py                      # everything: half an hour on 2 cores
    python benchmarks/speed/compare.py processes --peers "bare PyTorch loop" "JAX, lax.scan"

Results go to benchmarks/results/, after each section, into a file for each kind of machine. The
test set is only the yardstick: nothing is chosen by it.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import ROOT, busy_neighbour, cpu, machine, results_file, run

PEERS = {
    "bare PyTorch loop": ["torch_loop.py"],
    "stock Lightning": ["stock_lightning.py"],
    "stock Lightning, 2 workers": ["stock_lightning.py", "--workers=2"],
    "Keras, TensorFlow": ["keras_tensorflow.py"],
    "JAX, lax.scan": ["jax_scan.py"],
}
REPORTED = ("fit_seconds", "epoch_seconds", "test_accuracy")
OURS = "ours"

Results = dict[str, Any]


def peer(name: str, folder: Path, *more: str) -> list[str]:
    script, *arguments = PEERS[name]
    return [f"benchmarks/speed/peers/{script}", str(folder), *arguments, *more]


def ours(folder: Path, *overrides: str) -> list[str]:
    return ["src/train.py", f"paths.outputs_dir={folder}/ours", *overrides]


def processes(rounds: int, folder: Path, peers: Sequence[str] = tuple(PEERS)) -> Results:
    """Whole 5-epoch processes, and the floor, in turn: all see the same weather."""
    contenders = {
        OURS: ours(folder, "trainer.max_epochs=5"),
        **{name: peer(name, folder) for name in peers},
        "matrix products alone": ["benchmarks/speed/peers/products.py"],
    }
    runs: Results = {name: [] for name in contenders}
    for turn in range(1, rounds + 1):
        for name, command in contenders.items():
            one = run(command, folder)
            runs[name].append(asdict(one))
            print(f"  round {turn}  {name:<28} {one.seconds:6.1f} s", flush=True)
    return runs


def startup(rounds: int, folder: Path) -> Results:
    """Seconds from the process's start to its first batch, beside processes that do nothing else
    than import torch and read the data, or import lightning.
    """
    probe = "+callbacks.probe._target_=probe.FirstBatch"
    bare = f"import torch, common, pathlib; common.arrays(pathlib.Path({str(folder)!r}), 'train')"
    alone = {"import torch, read the data": bare, "import lightning": "import lightning"}
    seconds: dict[str, list[float]] = {name: [] for name in ("first batch", *alone)}
    for _ in range(rounds):
        begin = time.time()
        reached = run(ours(folder, "trainer.max_epochs=1", probe), folder)
        seconds["first batch"].append(reached.report["first_batch_at"] - begin)
        for name, program in alone.items():
            seconds[name].append(run(["-c", program], folder).seconds)
    return seconds


def ageing(rounds: int, folder: Path) -> Results:
    """Seconds of each of ten epochs: averages of squared gradients fade into denormals."""
    probe = "+callbacks.probe._target_=probe.EpochSeconds"
    commands = {
        OURS: ours(folder, "trainer.max_epochs=10", probe),
        "bare PyTorch loop": peer("bare PyTorch loop", folder, "--epochs=10"),
    }
    epochs: Results = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            epochs[name].append(run(command, folder).report["epoch_seconds"])
            print(f"  {name:<20} {[round(seconds, 2) for seconds in epochs[name][-1]]}")
    return epochs


def inference(rounds: int, folder: Path) -> Results:
    """Seconds for the 10,000 test images, loaded, to digits and probabilities."""
    run(ours(folder, "trainer.max_epochs=1"), folder)
    newest = max(folder.glob("ours/*/*/checkpoints/last.ckpt"))
    command = ["benchmarks/speed/peers/probe.py", str(newest), str(folder)]
    reports = [run(command, folder).report for _ in range(rounds)]
    return {
        "first": [report["first"] for report in reports],
        "median of 20": [statistics.median(report["seconds"]) for report in reports],
    }


def neighbour(rounds: int, folder: Path) -> Results:
    """The fit alone, and with one core taken by a busy neighbour."""
    commands = {
        OURS: ours(folder, "trainer.max_epochs=5"),
        "bare PyTorch loop": peer("bare PyTorch loop", folder, "--epochs=1"),
    }
    ways = ("alone", "beside a busy program")
    epoch_seconds: Results = {f"{name}, {way}": [] for name in commands for way in ways}
    for _ in range(rounds):
        for name, command in commands.items():
            alone = run(command, folder)
            with busy_neighbour():
                beside = run(command, folder)
            for way, one in zip(ways, (alone, beside), strict=True):
                epochs = 5 if name == OURS else 1
                epoch_seconds[f"{name}, {way}"].append(one.report["fit_seconds"] / epochs)
            print(f"  {name:<20} {alone.seconds:6.1f} s, beside one {beside.seconds:6.1f} s")
    return epoch_seconds


def augmentation(rounds: int, folder: Path) -> Results:
    """Images a second that one thread deforms."""
    reports = [run(["benchmarks/speed/peers/deforming.py"], folder).report for _ in range(rounds)]
    return {way: [report[way] for report in reports] for way in reports[0]}


def summary(results: Results) -> str:
    """Medians, ranges and the ratios the targets are about."""
    lines = []
    if whole := results.get("processes"):
        lines += [f"{'':28} {'process':>16} {'fit':>6} {'epoch':>6} {'MiB':>6} {'test acc':>9}"]
        for name, runs in whole.items():
            lines.append(f"{name:<28} {_row(runs)}")
        lines += ["", *ratios(whole)]
    for section in ("startup", "inference", "neighbour"):
        for name, seconds in results.get(section, {}).items():
            low, high = min(seconds), max(seconds)
            middle = statistics.median(seconds)
            lines.append(f"{section}: {name:<28} {middle:.3f} s ({low:.3f}-{high:.3f})")
    for way, rates in results.get("augmentation", {}).items():
        low, middle, high = min(rates), statistics.median(rates), max(rates)
        lines.append(f"deformed: {way:<33} {middle:,.0f} images/s ({low:,.0f}-{high:,.0f})")
    for name, runs in results.get("ageing", {}).items():
        lasts = [statistics.median(run[-3:]) / statistics.median(run[1:4]) for run in runs]
        growth = statistics.median(lasts) - 1
        lines.append(f"ageing: {name:<28} {growth:+.1%} from epochs 2-4 to 8-10")
    return "\n".join(lines)


def median(runs: list[dict[str, Any]], name: str) -> float:
    """Of one reported number over runs; of epochs, those after the first, which compiles."""
    values = [run["report"][name] for run in runs]
    each = [statistics.median(v[1:] or v) if isinstance(v, list) else v for v in values]
    return float(statistics.median(each))


def _seconds(runs: list[dict[str, Any]]) -> float:
    return float(statistics.median(run["seconds"] for run in runs))


def ratios(whole: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Of medians, a line for each: what docs/speed.md quotes."""
    mine, bare, jax = whole[OURS], whole["bare PyTorch loop"], whole["JAX, lax.scan"]
    peak = [statistics.median(run["peak_mib"] for run in runs) for runs in (mine, bare)]
    found = {
        "fit / bare PyTorch loop": median(mine, "fit_seconds") / median(bare, "fit_seconds"),
        "steady epoch / JAX": median(mine, "epoch_seconds") / median(jax, "epoch_seconds"),
        **{
            f"process / {name}": _seconds(mine) / _seconds(whole[name])
            for name in PEERS
            if name in whole
        },
        "peak memory / bare PyTorch loop": peak[0] / peak[1],
    }
    return [f"{name:<36} {ratio:.2f}" for name, ratio in found.items()]


def _row(runs: list[Results]) -> str:
    seconds = [run["seconds"] for run in runs]
    process = f"{statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
    if "fit_seconds" not in runs[0]["report"]:
        floor = {n: f"{median(runs, n):.3f}" for n in runs[0]["report"]}
        return f"{process:>16} {floor}"
    fit, epoch, accuracy = (median(runs, n) for n in REPORTED)
    memory = statistics.median(run["peak_mib"] for run in runs)
    return f"{process:>16} {fit:6.2f} {epoch:6.3f} {memory:6.0f} {accuracy:9.4f}"


SECTIONS = (processes, startup, ageing, inference, neighbour, augmentation)


def main() -> None:
    sections = {f.__name__: f for f in SECTIONS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="|".join(sections), default=list(sections))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    given = parser.parse_args()
    if unknown := set(given.sections) - set(sections):
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(sections)}")
    path = results_file(cpu(), os.cpu_count() or 1)
    results: Results = json.loads(path.read_text()) if path.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "data" / "MNIST" / "raw", folder / "MNIST" / "raw")
        for section in given.sections:
            print(section, flush=True)
            more = (given.peers,) if section == "processes" else ()
            results[section] = sections[section](given.rounds, folder, *more)
            results["machine"] = machine()
            path.write_text(json.dumps(results, indent=1) + "\n")
    print(summary(results))


if __name__ == "__main__":
    main()
