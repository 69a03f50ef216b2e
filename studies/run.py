"""`python studies/run.py NAME` runs a study, or what is left of it: its sweeps, into
outputs/studies/NAME, then its table and its figure, into studies/NAME.
"""

import importlib
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from digits import signals  # noqa: E402

if __name__ == "__main__":
    signals.end_at_once()

from digits.commands import app, argparse_app, going_on  # noqa: E402
from digits.console import program  # noqa: E402
from digits.errors import InputError  # noqa: E402
from digits.runs.status import DIVERGED, FINISHED  # noqa: E402
from digits.runs.words import Words, key, own, quoted  # noqa: E402
from digits.sweeps import leaderboard  # noqa: E402
from digits.sweeps.sweep_folder import SweepFolder  # noqa: E402
from studies import study as studies  # noqa: E402

HERE = Path(__file__).parent


def main(arguments: Namespace) -> None:
    study, given = found(arguments.name), Words.parse(arguments.words)
    outputs = going_on.outputs_dir(given).absolute() / "studies" / arguments.name
    studies.check_recipes([*study.words, *given.overrides])
    parsed = Words.parse(study.words).parsed
    varied = {word.key_or_group for word in parsed if word.is_sweep_override()}
    jobs: dict[str, list[leaderboard.Result]] = {}
    for name, its in study.sweeps.items():
        sweep = SweepFolder(outputs / re.sub("[^a-z0-9]+", "_", name.lower()))
        run(sweep, [*study.words, *given.overrides, *its], varied)
        jobs[name] = [job for job in leaderboard.read(sweep).jobs if job.status == FINISHED]
    seconds = sum(job.number("fit_seconds") or 0 for each in jobs.values() for job in each)
    count = sum(map(len, jobs.values()))
    note = f"{count} runs, {seconds / 60:.0f} minutes of training one after the other."
    studies.write(study, study.measure(jobs, outputs), HERE / arguments.name, note)
    print(f"studies/{arguments.name}: table.csv, figure.png, README.md")


def found(name: str) -> studies.Study:
    there = sorted(path.parent.name for path in HERE.glob("*/study.py"))
    if name not in there:
        hint = f"{name}/README.md says how" if (HERE / name).is_dir() else f"expected {there}"
        raise InputError(f"{name}: no study that is a sweep; {hint}")
    study = importlib.import_module(f"studies.{name}.study").STUDY
    assert isinstance(study, studies.Study)
    return study


def run(sweep: SweepFolder, words: Sequence[str], varied: set[str]) -> None:
    """Begin a sweep, or go on with it; nothing is done if all its jobs are over."""
    where = f"hydra.sweep.dir={quoted(sweep.path)}"
    if sweep.file.is_file():
        check_same(sweep, words, varied)
        over = [(told := job.status()) and told.status for _, job, _ in sweep.jobs()]
        asked, begun = ({key(word): word for word in each} for each in (own(words), sweep.words()))
        if asked.items() <= begun.items() and {*over} <= {FINISHED, DIVERGED}:
            return
        where = f"sweep={quoted(sweep.path)}"
    app.run_in_python(program("train").main, ["-m", where, *words])


def check_same(sweep: SweepFolder, words: Sequence[str], varied: set[str]) -> None:
    """Raises InputError if the sweep was begun with other settings, `varied` ones and Hydra's left
    out: a mean over both would mean nothing.
    """
    other = {*sweep.words()} ^ {*own(words)}
    told = [word for word in sorted(other) if key(word) not in varied and word[:5] != "hydra"]
    if told:
        raise InputError(
            f"{sweep.path}: was begun with other settings; these differ: {' '.join(told)}; "
            "expected the same, or another paths.outputs_dir"
        )


if __name__ == "__main__":
    parser = argparse_app.Parser(description=__doc__)
    parser.add_argument("name", help="a folder of studies/")
    parser.add_argument("words", nargs="*", help="settings of all its runs: seed=0,1")
    argparse_app.run(parser, main)
