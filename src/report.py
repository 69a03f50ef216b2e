"""A run's report, made again from its folder, or several runs compared: `report.py latest`."""

import argparse
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from digits.commands import argparse_app, newest
from digits.errors import InputError
from digits.files import home, relative
from digits.inspection import comparison, preview, report
from digits.runs.folder import RunFolder
from digits.sweeps.sweep_folder import SweepFolder


def task(arguments: argparse.Namespace) -> None:
    runs = list(dict.fromkeys(_runs(arguments.runs)))
    columns = shutil.get_terminal_size().columns
    if len(runs) == 1:
        findings = report.read(runs[0])
        own = RunFolder(runs[0])
        path = arguments.output or own.report
        report.write(findings, path, None if arguments.output else own.figures)
        print(preview.of_run(findings, columns))
    else:
        page = comparison.of(comparison.compare([report.read(run) for run in runs]))
        path = arguments.output or _place(arguments.runs)
        report.write_page(page, path)
        print(preview.of_several(page))
    print(f"report {relative(path)}")


def _runs(given: list[str]) -> Iterator[Path]:
    """Yield the folders of the runs; for a sweep, of all jobs that have begun."""
    for word in given:
        path = (
            newest.run_or_winner(home() / "outputs", word).path if word == "latest" else Path(word)
        )
        sweep = SweepFolder(path)
        if sweep.file.is_file():
            begun = [run.path for run in sweep.runs()]
            if not begun:
                raise InputError(f"{path}: none of its jobs has begun")
            yield from begun
        else:
            yield path


def _place(given: list[str]) -> Path:
    """Return the comparison's file: in the folder of the sweep, or a new one."""
    if len(given) == 1:
        return Path(given[0]) / "report.html"
    return home() / "outputs" / "comparisons" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}.html"


def main() -> NoReturn:
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument(
        "runs", metavar="RUN|SWEEP|latest", nargs="+", help="folders, finished or not"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="the page alone; default: report.html and figures/ in the folder or, for several, a "
        "new file in outputs/comparisons",
    )
    argparse_app.run(parser, task)


if __name__ == "__main__":
    main()
