"""Running a command and measuring it from outside: seconds, peak memory, and what it reports."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "speed" / "peers"
PACKAGES = ("torch", "lightning", "torchvision", "tensorflow", "keras", "jax", "numpy")


@dataclass
class Run:
    """One whole process: wall-clock seconds, MiB at its peak, and the script's own report."""

    seconds: float
    peak_mib: float
    report: dict[str, Any] = field(default_factory=dict)


def run(command: list[str], folder: Path) -> Run:
    """Python with `command`; raises RuntimeError with what it printed where it fails.

    Peak memory is that of the largest single process (Linux counts KiB), workers not added up.
    """
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(PEERS)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        output.seek(0)
        text = output.read().decode(errors="replace")
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{text[-2000:]}")
    report = _ours(folder) if command[0] == "src/train.py" else {}
    return Run(seconds, usage.ru_maxrss / 1024, report | _printed(text))


def _printed(text: str) -> dict[str, Any]:
    """The last line of JSON, with which a peer reports."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else {}


def _ours(folder: Path) -> dict[str, Any]:
    """What our newest run wrote, in a peer's words."""
    metrics = json.loads(max(folder.glob("ours/*/*/metrics.json")).read_text())
    return {
        "fit_seconds": metrics.get("fit_seconds"),
        "epoch_seconds": [metrics.get("epoch_seconds")],
        "test_accuracy": metrics.get("test/acc"),
    }


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Another program that never rests, as an editor's indexer or a second job might."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


def machine() -> dict[str, Any]:
    """Cores, architecture and versions, for a results file."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        **versions,
    }


def cpu() -> str:
    """The CPU's name and, as hosts shorten it, its family and model: `AMD EPYC (25, 17)`."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    told = dict(re.findall(r"^(.+?)\s*: (.*)$", path.read_text(), re.MULTILINE))
    name = told.get("model name", platform.machine())
    return f"{name} ({told['cpu family']}, {told['model']})" if "cpu family" in told else name


def results_file(cpu: str, cores: int) -> Path:
    """Where numbers of such a machine are kept: `results/amd-epyc-25-17-2-cores.json`."""
    words = re.findall(r"[a-z0-9.]+", cpu.lower().replace("(r)", "").replace("(tm)", ""))
    return ROOT / "benchmarks" / "results" / f"{'-'.join(words)}-{cores}-cores.json"
