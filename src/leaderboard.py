"""A sweep's leaderboard, made again from its jobs' folders: `leaderboard.py latest`."""

import argparse
from typing import NoReturn

from digits.commands import argparse_app, newest
from digits.files import home
from digits.sweeps import table
from digits.sweeps.sweep_folder import SweepFolder


def task(arguments: argparse.Namespace) -> None:
    folder = newest.sweep(arguments.sweep, home() / "outputs", arguments.sweep)
    print(table.write(SweepFolder(folder), arguments.metric, arguments.replicates))


def main() -> NoReturn:
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument("sweep", metavar="SWEEP|latest", help="a sweep's folder, finished or not")
    parser.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="rank by val/acc, val/loss (their best) or another score of metrics.json; "
        "default: what the sweep optimised",
    )
    parser.add_argument(
        "--replicates",
        type=lambda names: names.split(","),
        metavar="NAME,...",
        help="settings that repeat a job rather than change it: means are over them; default: what "
        "the sweep recorded, or seed",
    )
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
