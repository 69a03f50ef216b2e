"""Is our training equivalent to a bare PyTorch loop's and to Keras's? Run all sides, and write
docs/parity.md and its figure from the records.

`python benchmarks/parity` takes an hour and a half of CPU; after a stop it goes on. Keras needs the
extra `bench`, or --keras with another interpreter that has TensorFlow.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from parity import page, runs
from parity.record import PLANNED, SIDES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "--seeds", type=int, default=PLANNED, help="of each side (40); 0: the page alone"
    )
    parser.add_argument("--processes", type=int, default=2, help="at a time, one thread each (2)")
    parser.add_argument("--keras", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE")
    given = parser.parse_args()
    if given.seeds:
        runs.run(given.sides, given.seeds, given.processes, given.keras)
    page.write(runs.read())


if __name__ == "__main__":
    main()
