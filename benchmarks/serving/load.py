"""How many images a second `src/serve.py` answers, how long each takes, and how soon it is ready:
`python benchmarks/serving/load.py`, with a trained run. Two minutes on two cores, the client
included.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load_client import Load, drawings, drive, requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import ROOT, machine

RESULTS = ROOT / "benchmarks" / "results" / "serve.json"
WARM_UP = 500  # requests before memory is looked at


@contextmanager
def server(ckpt: str) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """The process, its URL, and the seconds until it said so."""
    begin = time.perf_counter()
    command = [sys.executable, "src/serve.py", "--ckpt", ckpt, "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start")
        yield process, line.split()[0], time.perf_counter() - begin
    finally:
        process.terminate()
        process.communicate(timeout=20)


def memory_mib(process: subprocess.Popen[str]) -> float:
    """Of the server and the processes that read images, what they share counted in each (Linux)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in (process.pid, *children)]
    return sum(int(each.partition("VmRSS:")[2].split()[0]) for each in statuses) / 1024


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Of the server and its readers, so far (Linux)."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    fields = [
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        for pid in (process.pid, *children)
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def under_load(ckpt: str, number: int, connections: int) -> dict[str, Any]:
    with server(ckpt) as (process, url, _):
        port = int(url.rpartition(":")[2])
        asked = requests(drawings(500), port)
        asyncio.run(drive(port, Load(asked, WARM_UP), connections))
        before, cpu, ours = memory_mib(process), cpu_s(process), time.process_time()
        quarter = Load(asked, number // 4)
        seconds = asyncio.run(drive(port, quarter, connections))
        early = memory_mib(process)
        rest = Load(asked, number - number // 4)
        seconds += asyncio.run(drive(port, rest, connections))
        after, cpu, ours = memory_mib(process), cpu_s(process) - cpu, time.process_time() - ours
    taken_ms = [1000 * each for each in quarter.seconds + rest.seconds]
    cuts = statistics.quantiles(taken_ms, n=100)
    errors = quarter.errors + rest.errors
    return {
        "requests": len(taken_ms),
        "connections": connections,
        "requests_per_s": len(taken_ms) / seconds,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "errors": len(errors),
        "kinds_of_errors": sorted(set(errors)),
        "right": (quarter.right + rest.right) / len(taken_ms),
        "memory_mib": [before, early, after],
        "cpu_ms_per_request": {"server": 1000 * cpu / number, "client": 1000 * ours / number},
        "cores_used": (cpu + ours) / seconds,
    }


def start(ckpt: str, rounds: int) -> dict[str, Any]:
    """Seconds until ready, and for `import torch` alone, in turn."""
    ready, torch = [], []
    for _ in range(rounds):
        with server(ckpt) as (_, _, seconds):
            ready.append(seconds)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        torch.append(time.perf_counter() - begin)
    ratio = statistics.median(ready) / statistics.median(torch)
    return {"ready_s": ready, "import_torch_s": torch, "ratio_of_medians": ratio}


def table(results: dict[str, Any]) -> str:
    load, begin = results["load"], results["start"]
    used = load["cpu_ms_per_request"]
    memory = " / ".join(f"{mib:.0f}" for mib in load["memory_mib"])
    rows = {
        f"requests/s, {load['connections']} connections": f"{load['requests_per_s']:.0f}",
        "p50 / p95 / p99": " / ".join(f"{load[f'p{p}_ms']:.0f}" for p in (50, 95, 99)) + " ms",
        f"errors in {load['requests']}": f"{load['errors']}",
        "right": f"{load['right']:.2%}",
        "CPU a request: server, client": " + ".join(f"{ms:.1f}" for ms in used.values()) + " ms",
        "cores it got, of those there are": f"{load['cores_used']:.1f} of {os.cpu_count()}",
        "memory after warm-up, a quarter, all": f"{memory} MiB",
        "ready, median": f"{statistics.median(begin['ready_s']):.2f} s",
        "import torch, median": f"{statistics.median(begin['import_torch_s']):.2f} s",
        "ready / import torch": f"{begin['ratio_of_medians']:.2f}",
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {what} | {said} |" for what, said in rows.items())]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--ckpt", default="latest")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5, help="starts that are timed")
    arguments = parser.parse_args()
    load = under_load(arguments.ckpt, arguments.requests, arguments.connections)
    results = {
        "load": load,
        "start": start(arguments.ckpt, arguments.rounds),
        "machine": machine(),
    }
    print(table(results))
    if arguments.requests >= 20_000:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written: {RESULTS}")
    raise SystemExit(1 if load["errors"] else 0)


if __name__ == "__main__":
    main()
