"""Hurt real runs in every way we could think of, let them go on, and see what is lost.

`python benchmarks/faults` takes two hours on two cores, `--quick` a quarter of one. A full disk
and a read-only one need root (they are mounted), the clock libfaketime; without them those lines
say so.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import disks, kills, sources
from faults.common import ROOT, Row
from faults.killed_at import MOMENTS

RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
Trial = Callable[[Path], Row | list[Row]]


def trials(quick: bool) -> dict[str, Trial]:
    few = quick
    made: dict[str, Trial] = {
        "kill plain": partial(kills.kills, "plain", 4 if few else 100),
        "kill everything": partial(kills.kills, "everything", 2 if few else 20),
        "kill within": partial(kills.kills, "within epochs", 2 if few else 10),
        "kill ddp": partial(kills.kills, "2 processes", 2 if few else 10),
        "stop plain": partial(kills.stops, "plain", 3 if few else 50),
        "stop everything": partial(kills.stops, "everything", 2 if few else 10),
        "stop within": partial(kills.stops, "within epochs", 2 if few else 10),
        "stop ddp": partial(kills.stops, "2 processes", 2 if few else 10),
        "moments": partial(kills.moments, times=list(product(MOMENTS, (3,) if few else (1, 2, 7)))),
        "checkpoints": partial(disks.damaged_checkpoints, flips=1 if few else 20),
        "disk full": disks.full,
        "read-only": disks.read_only,
        "data": sources.damaged_data,
        "mirrors": sources.mirrors,
        "at once": sources.at_once,
        "clock": sources.clock,
        "cost": partial(kills.cost, rounds=2 if few else 10),
    }
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer of each")
    names = list(trials(quick=True))
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="TRIAL", help=", ".join(names)
    )
    arguments = parser.parse_args()
    made = trials(arguments.quick)
    done = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    print("| fault | injected | survived | work lost, at most | ends as if nothing had been |")
    print("|---|---|---|---|---|")
    for name in arguments.only:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            try:
                rows = made[name](Path(folder))
            except disks.NotAllowedError as error:
                rows = Row(name, problems=[f"skipped: {error}"])
        rows = rows if isinstance(rows, list) else [rows]
        for row in rows:
            print(row.line(), flush=True)
        seconds = round(time.monotonic() - begin)
        done[name] = {"seconds": seconds, "rows": [row.as_dict() for row in rows]}
        RESULTS.write_text(json.dumps(done, indent=1) + "\n")
    problems = [
        problem
        for name in arguments.only
        for row in done[name]["rows"]
        for problem in row["problems"]
    ]
    print(*problems, sep="\n")
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    main()
