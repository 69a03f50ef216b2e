"""The trainings, in processes of one thread, and the file of their records."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from parity.record import KERAS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "parity.jsonl"
TOGETHER = 5  # seeds of one process, which imports once
CHECKED = ("ours", "ours_plain", "bare", "keras")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
_writing = Lock()

Line = dict[str, Any]


def read(path: Path = RESULTS) -> list[Line]:
    text = path.read_text() if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def missing(lines: Iterable[Line], sides: Sequence[str], seeds: int) -> list[tuple[str, list[int]]]:
    """Return what to run: a side and some of its seeds, the sides in turn. A check runs one seed
    of a side again, in a process of its own.
    """
    rounds = [range(first, min(first + TOGETHER, seeds)) for first in range(0, seeds, TOGETHER)]
    wanted: list[tuple[str, Sequence[int]]] = [(side, some) for some in rounds for side in sides]
    checked = [side for side in CHECKED if side.removesuffix("_plain") in sides]
    checks = [(f"check_{side}", some[-1:]) for some in rounds[:1] for side in checked]
    wanted[len(sides) : len(sides)] = [*checks, ("trace", [0])] if checks else []
    done = {(line["side"], line["seed"]) for line in lines}
    left = [(side, [seed for seed in some if (side, seed) not in done]) for side, some in wanted]
    return [(side, some) for side, some in left if some]


def run(sides: Sequence[str], seeds: int, processes: int, keras: str) -> None:
    """Run what RESULTS lacks."""
    if {*sides} & {*KERAS} and not _has_keras(keras):
        sides = [side for side in sides if side not in KERAS]
    parts = missing(read(), sides, seeds)
    with ThreadPoolExecutor(processes) as pool:
        waiting = [pool.submit(_run_part, *part, keras) for part in parts]
        try:
            for one in waiting:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _has_keras(python: str) -> bool:
    code = "import importlib.util as u; raise SystemExit(not u.find_spec('tensorflow'))"
    found = subprocess.run([python, "-c", code], check=False).returncode == 0
    if not found:
        print("No TensorFlow: pip install -e '.[bench]', or --keras PYTHON; going on without")
    return found


def _run_part(side: str, seeds: list[int], keras: str) -> None:
    python = keras if side.removeprefix("check_") in KERAS else sys.executable
    for line in work(side, map(str, seeds), python):
        add(line)
        print(side, line["seed"], line.get("acc", ""), flush=True)


def work(name: str, words: Iterable[str], python: str = sys.executable) -> Iterable[Line]:
    """Yield what a worker prints. Raises RuntimeError with its end if it fails."""
    command = [python, str(Path(__file__).parent / "worker.py"), name, *words]
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("src", "benchmarks"))
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": paths}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        said: list[str] = []
        for text in process.stdout or ():
            if text.startswith('{"side"'):
                yield json.loads(text)
            else:
                said = [*said[-20:], text]
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {process.returncode}\n{''.join(said)}")


def add(line: Line, path: Path = RESULTS) -> None:
    with _writing, path.open("a") as file:
        file.write(json.dumps(line) + "\n")
